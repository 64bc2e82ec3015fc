"""``wardround-hospital``, the hospital's command: one word, a home folder, plain answers.

Only the chosen command's own modules are imported, so that ``--help`` answers at once. Whatever a person
can fix is one line on standard error and exit code 2; no traceback is ever shown, since it may quote data.
"""

import logging
import os
import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

from wardround.client.commands.arguments import parser
from wardround.client.connectors.panic import libraries_are_mute, panics_are_faults
from wardround.protocol.alerts.timed import run_noted
from wardround.protocol.command_line.exit_codes import FAULT, OK, STOPPED, USER_ERROR
from wardround.protocol.errors import WardroundError
from wardround.protocol.text.log import PLAIN, LogHandler, is_log, log_as, log_style, report
from wardround.protocol.text.spelling import spell_what_cannot_be_encoded

_STARTS_OTHERS = ("up", "supernode")
"""Their children write to the same standard error; they themselves read no table."""
_SERVES = ("agent", "console", "up")
"""They run until they are stopped, and say what they do meanwhile."""
_LOGS = (*_SERVES, "supernode", "metrics", "alerts")
"""What they say on standard error is a log, in the style that ``WARDROUND_LOG`` names."""
_SETTINGS = "hospital.yaml"
"""Every home has it; ``client.home.home`` takes long to import."""
_ROOT = Path(__file__).parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit code: 0; 2 for what a person can fix; 1 for a fault of the program."""
    spell_what_cannot_be_encoded()
    try:
        options = parser().parse_args(arguments)
        style = log_style(os.environ, sys.stderr.isatty()) if is_log(options, _LOGS) else PLAIN
    except WardroundError as error:
        return _end(str(error), USER_ERROR)
    with log_as(style):
        return run_noted(options, _SETTINGS, lambda: _run(options, style))


def _run(options: Namespace, style: str) -> int:
    try:
        with nullcontext() if options.module in _STARTS_OTHERS else libraries_are_mute(), panics_are_faults():
            _log_to_standard_error(options, style)
            _compute_in_one_thread(options)
            import_module(f"wardround.client.commands.{options.module}").run(options)
    except WardroundError as error:
        return _end(str(error), USER_ERROR)
    except KeyboardInterrupt:
        report("stopped")
        return STOPPED
    except BrokenPipeError:
        # Whoever read the output has left; the interpreter's own flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        if type(error).__module__.startswith(
            "polars"
        ):  # read lazily: what a file holds shows when it is used
            return _end(
                f"tables: cannot be read ({type(error).__name__}); fix the export, or its path", USER_ERROR
            )
        return _end(_fault(error), FAULT)
    return OK


def _log_to_standard_error(options: Namespace, style: str) -> None:
    """Write our own log alone: those of the libraries may quote what they were given."""
    quiet = logging.INFO if options.module in _SERVES else logging.ERROR
    logger = logging.getLogger("wardround")
    logger.handlers, logger.propagate = [LogHandler(style)], False
    logger.setLevel(logging.DEBUG if options.verbose else quiet)


def _compute_in_one_thread(options: Namespace) -> None:
    """Before NumPy is loaded: an agent's arithmetic is set to take equal time in its own thread, and in no other."""
    if options.module == "agent":
        os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"


def _fault(error: Exception) -> str:
    """Name the type and our own line: the text of an error of others may hold a patient's value."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_ours(frame.filename)]
    where = f" at {Path(frames[-1].filename).relative_to(_ROOT)}:{frames[-1].lineno}" if frames else ""
    return f"fault: {type(error).__name__}{where}; this is a fault of the program; please report this line"


def _is_ours(filename: str) -> bool:
    path = Path(filename)
    return path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in ("client", "protocol")


def _end(line: str, code: int) -> int:
    report(" ".join(line.split()), logging.ERROR)
    return code


if __name__ == "__main__":
    sys.exit(main())
