"""``wardround-simulate``, the researcher's command: compose a study, run it, map errors to exit codes.

Nothing heavy is imported until a study runs, so that ``--help`` answers at once.
"""

import os
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from wardround.conf.help import help_text
from wardround.protocol.command_line.exit_codes import OK, USER_ERROR
from wardround.protocol.errors import WardroundError
from wardround.protocol.quiet import QUIET
from wardround.protocol.text.say import complain, say, say_json, show_fault
from wardround.protocol.text.spelling import spell_what_cannot_be_encoded

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from wardround.conf.audited import AuditSettings
    from wardround.conf.hydra_run import RunJobs, SweepJob
    from wardround.conf.settings import StudySettings

LARGEST_SUMMARY = 2**26  # bytes
AUDIT, FEASIBILITY = "audit", "feasibility"
"""Words that ask for an attack on the study's releases, or for the counts before it, in the place of its results."""


def main() -> int:
    """Run the command line; return its exit code (2: something a person can fix, in one line)."""
    spell_what_cannot_be_encoded()
    os.environ.update(QUIET)
    sys.excepthook = show_fault
    word = next((one for one in (AUDIT, FEASIBILITY) if one in sys.argv[1:]), "")
    if word:
        # Hydra reads sys.argv itself, and takes each word for a setting.
        sys.argv.remove(word)
    if {"-h", "--help"} & set(sys.argv[1:]):
        say(*help_text(AUDIT if word == AUDIT else "simulate").splitlines())
        return OK
    if any(text.partition("=")[0] == "--completion" for text in sys.argv[1:]):
        return _write_completion()
    try:
        from wardround.conf.hydra_run import run
    except ModuleNotFoundError as error:
        if error.name not in ("hydra", "omegaconf"):
            raise
        complain(f"hydra-core is not installed; in the checkout scripts/install.sh {sys.prefix} simulation")
        return USER_ERROR
    written = _Written()
    machine = "--json" in sys.argv
    # Hydra reads sys.argv itself, and knows no --json.
    sys.argv = [text for text in sys.argv if text != "--json"]
    # For a machine the tables go to standard error, so that standard output holds one JSON value.
    with redirect_stdout(sys.stderr) if machine else nullcontext():
        if word == FEASIBILITY:
            code = run("simulate", written.count)
        elif word == AUDIT:
            code = run(AUDIT, written.audit, freeze=_audit_settings)
        else:
            code = run("simulate", written.simulate, written.write_frontier, begin_sweep=_begin_sweep)
    if machine and written.summary is not None:
        from wardround.protocol.text.plain import read_json

        say_json(read_json(written.summary.read_bytes(), LARGEST_SUMMARY))
    return code


class _Written:
    """Runs what Hydra asks for, and keeps which file sums it up: the last run's, or a sweep's."""

    summary: Path | None = None

    def simulate(self, settings: "StudySettings") -> None:
        """Run one study and leave its files in ``settings.output_dir``."""
        from wardround.simulations.study.study import run

        self.summary = run(settings).summary

    def count(self, settings: "StudySettings") -> None:
        """Ask how many patients there are, noised, and leave the answer in the study's ``output_dir``."""
        from wardround.simulations.study.count_patients import count

        self.summary = count(settings)

    def audit(self, settings: "AuditSettings") -> None:
        """Attack one study and leave the findings in its ``output_dir``."""
        from wardround.simulations.audit.run import run

        self.summary = run(settings).summary

    def write_frontier(self, sweep_dir: Path) -> None:
        """Gather the runs of a sweep into one table and plot."""
        from wardround.simulations.report.sweep import show_frontier

        show_frontier(sweep_dir)
        self.summary = sweep_dir / "frontier.json"


def _begin_sweep(first: "SweepJob") -> "AbstractContextManager[RunJobs]":
    from wardround.simulations.study.sweep_jobs import begin_sweep

    return begin_sweep(first)


def _audit_settings(plain: dict[str, object], output_dir: Path) -> "AuditSettings":
    from wardround.conf.audited import audit_settings
    from wardround.conf.compose import load_plugins

    load_plugins(plain)
    return audit_settings(plain, output_dir)


def _write_completion() -> int:
    """Write a shell's completion of Hydra's flags that people use, and of groups, options and keys."""
    from wardround.conf.candidates import candidates
    from wardround.protocol.command_line.parser import SETTINGS, OneLineParser, add_completion

    parser = OneLineParser(prog="wardround-simulate")
    for flag in ("--multirun", "--json", "--version", "--hydra-help"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--cfg", choices=("job", "hydra", "all"))
    parser.add_argument(
        "--info", choices=("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
    )
    parser.add_argument(SETTINGS, nargs="*")
    add_completion(parser, lambda: candidates("simulate"))
    try:
        parser.parse_args()
    except WardroundError as error:
        complain(str(error))
        return USER_ERROR
    return OK


if __name__ == "__main__":
    sys.exit(main())
