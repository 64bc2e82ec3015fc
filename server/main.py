"""``wardround-serve``, the operator's command: its first word says what to do, the rest is Hydra's.

``hydra.main`` has no sub-commands: the word is taken off the command line before Hydra sees it. Nothing heavy
is imported until a word runs, so that ``--help`` answers at once.
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from wardround.conf.help import help_text
from wardround.protocol.errors import WardroundError
from wardround.protocol.text.say import complain, say, show_fault

OK, USER_ERROR, STOPPED = 0, 2, 130
# Nothing that a study starts reports to anyone.
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def terms() -> int:
    """Write a signed terms file."""
    from wardround.conf.door import run
    from wardround.conf.proposal import proposal
    from wardround.server.study.sign_terms import write_terms

    return run("serve", write_terms, compose=proposal)


def key() -> int:
    """Make the operator's signing key."""
    from wardround.server.study.sign_terms import make_key

    make_key(sys.argv[1:])
    return OK


def train() -> int:
    """Run a study over the hospitals that are let in."""
    from wardround.conf.door import run
    from wardround.conf.proposal import serving
    from wardround.server.study.serve import train as job

    return run("serve", job, compose=serving)


def resume() -> int:
    """Go on with a study that was stopped, or killed."""
    from wardround.conf.door import run
    from wardround.conf.proposal import resuming
    from wardround.server.study.serve import train as job

    return run("serve", job, compose=resuming)


def plan() -> int:
    """Say what a study would cost; nothing is signed and nobody is asked."""
    from wardround.conf.door import run
    from wardround.conf.proposal import serving
    from wardround.server.study.forecast import say_plan

    return run("serve", say_plan, compose=serving)


def provision() -> int:
    """Make certificates, keys and kits."""
    from wardround.server.commands import provision as job

    job.provision(sys.argv[1:])
    return OK


def enrol() -> int:
    """Let a hospital in by its request."""
    from wardround.server.commands import provision as job

    job.enrol(sys.argv[1:])
    return OK


def revoke() -> int:
    """Shut a hospital out."""
    from wardround.server.commands import provision as job

    job.revoke(sys.argv[1:])
    return OK


def renew() -> int:
    """Renew the server's certificate."""
    from wardround.server.commands import provision as job

    job.renew(sys.argv[1:])
    return OK


def up() -> int:
    """Start the server."""
    from wardround.server.commands.up import up as job

    job(sys.argv[1:])
    return OK


def status() -> int:
    """Say how the server and its studies stand."""
    from wardround.server.commands.status import status as job

    job(sys.argv[1:])
    return OK


def approve() -> int:
    """Sign an exception to limits that were not shown to hold."""
    from wardround.server.commands.approve import approve as job

    job(sys.argv[1:])
    return OK


def stop() -> int:
    """Stop a study after its round."""
    from wardround.server.commands.words import options
    from wardround.server.study.serve import stop as job

    said = options("stop", sys.argv[1:], {"study": None, "home": "."})
    say(job(Path(said["home"]), said["study"]))
    return OK


WORDS: Mapping[str, Callable[[], int]] = {
    "provision": provision,
    "enrol": enrol,
    "revoke": revoke,
    "renew": renew,
    "up": up,
    "plan": plan,
    "train": train,
    "status": status,
    "stop": stop,
    "resume": resume,
    "approve": approve,
    "key": key,
    "terms": terms,
}


def main() -> int:
    """Run the command line; return its exit code (2: something a person can mend, said in one line)."""
    os.environ.update(QUIET)
    sys.excepthook = show_fault
    if len(sys.argv) < 2 or {"-h", "--help"} & set(sys.argv[1:]):
        say(*help_text("serve").splitlines())
        return OK
    if sys.argv[1] == "--version":
        from importlib.metadata import version

        say(f"wardround {version('wardround')}")
        return OK
    word = sys.argv.pop(1)
    if word not in WORDS:
        return _refused(f"{word}: no such word; must be one of {', '.join(WORDS)}")
    try:
        return WORDS[word]()
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


def _refused(line: str) -> int:
    complain(" ".join(line.split()))
    return USER_ERROR


if __name__ == "__main__":
    sys.exit(main())
