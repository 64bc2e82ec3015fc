"""``wardround-serve``, the operator's command: one word, its flags, and for some a study's settings behind them.

Only the chosen command's own modules are imported, so that ``--help`` answers at once.
"""

import logging
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from wardround.protocol.alerts.timed import run_noted
from wardround.protocol.command_line.exit_codes import OK, STOPPED, USER_ERROR
from wardround.protocol.errors import WardroundError
from wardround.protocol.files import DISK_TROUBLES
from wardround.protocol.quiet import QUIET
from wardround.protocol.text.log import PLAIN, is_log, log_as, log_style, report
from wardround.protocol.text.say import show_fault
from wardround.protocol.text.spelling import spell_what_cannot_be_encoded
from wardround.server.commands.arguments import parser

_LOGS = ("up", "train", "resume", "metrics", "alerts", "dashboard")
"""They run for long: what they say on standard error is a log, in the style that ``WARDROUND_LOG`` names."""
_SETTINGS = "operator.json"
"""Every home has it; ``server.store.operator_home`` takes long to import."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit code (2: something a person can fix, in one line)."""
    spell_what_cannot_be_encoded()
    os.environ.update(QUIET)
    sys.excepthook = show_fault
    try:
        options = parser().parse_args(arguments)
        style = log_style(os.environ, sys.stderr.isatty()) if is_log(options, _LOGS) else PLAIN
    except WardroundError as error:
        return _refused(str(error))
    with log_as(style):
        return run_noted(options, _SETTINGS, lambda: _run(options))


def _run(options: Namespace) -> int:
    try:
        import_module(f"wardround.server.commands.{options.module}").run(options)
    except WardroundError as error:
        return _refused(str(error))
    except BrokenPipeError:
        # Whoever read the output has left; the interpreter's own flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in DISK_TROUBLES:
            raise
        # Files are put there whole or not at all: nothing is half done, and the same command does the rest.
        where = error.filename or getattr(options, "home", Path()).absolute()
        return _refused(f"path={where}: {error.strerror}; put that right, then run this command again")
    except KeyboardInterrupt:
        report("stopped")
        return STOPPED
    except ModuleNotFoundError as error:
        if error.name not in ("hydra", "omegaconf"):
            raise
        return _refused(
            f"hydra-core is not installed; in the checkout scripts/install.sh {sys.prefix} server"
        )
    return OK


def _refused(line: str) -> int:
    report(" ".join(line.split()), logging.ERROR)
    return USER_ERROR


if __name__ == "__main__":
    sys.exit(main())
