"""One line of the doctor's: what was looked at, how it stands, and the remedy."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wardround.client.connectors.panic import panics_are_faults
from wardround.protocol.errors import LedgerError, WardroundError

OK, WARN, FAULT = "ok", "warn", "FAULT"


@dataclass(frozen=True)
class Finding:
    """state: ``ok``, ``warn`` (a study can run) or ``FAULT`` (none can). remedy: what to do, empty for ok."""

    topic: str
    state: str
    text: str
    remedy: str = ""


def ok(topic: str, text: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(topic, OK, text)


def warn(topic: str, text: str, remedy: str) -> Finding:
    """Say what a person should look at, though a study can run."""
    return Finding(topic, WARN, text, remedy)


def fault(topic: str, text: str, remedy: str) -> Finding:
    """Say what keeps every study from running."""
    return Finding(topic, FAULT, text, remedy)


def guarded(topic: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Run a check; what it raises becomes a fault, with our own errors' text alone.

    The text of an error of others may quote a cell.
    """
    try:
        with panics_are_faults():
            return list(check())
    except WardroundError as error:
        return [failed(topic, error)]
    except Exception as error:
        return [fault(topic, f"could not be checked ({type(error).__name__})", "report this line")]


def failed(topic: str, error: WardroundError) -> Finding:
    """Turn one of our errors into a fault; its remedy stands after the last semicolon."""
    text, _, remedy = str(error).rpartition("; ")
    if text:
        return fault(topic, text, remedy)
    whole = "restore the newest backup" if isinstance(error, LedgerError) else "fix what the line says"
    return fault(topic, remedy, whole)
