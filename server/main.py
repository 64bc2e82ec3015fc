"""``wardround-serve``, the operator's command: one word, its flags, and for some a study's settings behind them.

Only the chosen command's own modules are imported, so that ``--help`` answers at once.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from wardround.protocol.command_line.exit_codes import OK, STOPPED, USER_ERROR
from wardround.protocol.errors import WardroundError
from wardround.protocol.quiet import QUIET
from wardround.protocol.text.say import complain, show_fault
from wardround.protocol.text.spelling import spell_what_cannot_be_encoded
from wardround.server.commands.arguments import parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit code (2: something a person can fix, in one line)."""
    spell_what_cannot_be_encoded()
    os.environ.update(QUIET)
    sys.excepthook = show_fault
    try:
        options = parser().parse_args(arguments)
        import_module(f"wardround.server.commands.{options.module}").run(options)
    except WardroundError as error:
        return _refused(str(error))
    except KeyboardInterrupt:
        complain("stopped")
        return STOPPED
    except ModuleNotFoundError as error:
        if error.name not in ("hydra", "omegaconf"):
            raise
        return _refused(
            f"hydra-core is not installed; in the checkout scripts/install.sh {sys.prefix} server"
        )
    return OK


def _refused(line: str) -> int:
    complain(" ".join(line.split()))
    return USER_ERROR


if __name__ == "__main__":
    sys.exit(main())
