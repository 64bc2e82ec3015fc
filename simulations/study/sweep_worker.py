"""A process that runs jobs of a sweep: one JSON line per job comes in, one with its exit code and output goes out."""

import io
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from wardround.conf.compose import load_plugins, study_settings
from wardround.conf.settings import StudySettings
from wardround.protocol.command_line.exit_codes import FAULT, OK, USER_ERROR
from wardround.protocol.errors import WardroundError
from wardround.protocol.exit_with_parent import exit_when_parent_exits
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.say import complain, show_fault

LONGEST_LINE = 2**26  # bytes: a job's settings, or what it printed


def attempt(settings: Callable[[], StudySettings]) -> int:
    """Run one job; say an error on standard error, and return the exit code. Nothing ends the sweep."""
    from wardround.simulations.study import study

    try:
        study.run(settings())
    except WardroundError as error:
        complain(" ".join(str(error).split()))
        return USER_ERROR
    except Exception:
        show_fault(*sys.exc_info())
        return FAULT
    return OK


def carried_out(job: Mapping[str, Any]) -> dict[str, object]:
    """Run a job that was composed elsewhere: its code, and what it wrote to standard output and error."""

    def settings() -> StudySettings:
        load_plugins(job["settings"])
        return study_settings(job["settings"], Path(job["folder"]))

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = attempt(settings)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def main() -> None:
    """Answer jobs until there are no more; what a library prints by itself goes to standard error."""
    exit_when_parent_exits(int(sys.argv[1]))
    # A terminal's Ctrl-C goes to the sweep too, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # While the sweep's jobs are still composed. Not above: the process that composes them imports this file, too.
    import wardround.simulations.study.study  # noqa: F401

    with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
        os.dup2(2, 1)
        for line in sys.stdin.buffer:
            replies.write(json.dumps(carried_out(read_json(line, LONGEST_LINE))) + "\n")
            replies.flush()


if __name__ == "__main__":
    main()
