"""Which alerts stand, since when, and who was told: as a value, and in a file that survives the process.

``look`` takes what stands now into the state; ``due`` says who is still to be told of what; ``tell`` notes it;
``begin_again`` and ``meet`` take in that a watch, or a recipient, is new. An alert is forgotten once it was away for
``QUIET_SECONDS``, and is news again when it comes back: what comes and goes by the minute is told once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wardround.protocol.alerts.alert import Alert
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import zoned_time

QUIET_SECONDS = 900.0
"""How long an alert must have been away before it counts as over."""
LARGEST_STATE = 2**24  # bytes


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One alert. since: when it was first seen. gone: when it was first missed, None while it stands.

    told: the recipients who were told.
    """

    since: datetime
    gone: datetime | None = None
    told: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is known. began: when alerts were first looked for; nobody is told of what happened before.

    met: since when each recipient is told; who is new hears of what stands, and not of what happened before.
    """

    began: datetime
    standing: Mapping[str, Seen] = field(default_factory=dict)
    met: Mapping[str, datetime] = field(default_factory=dict)


def begin_again(state: Told, now: datetime) -> Told:
    """Take in that a watch begins: how long an alert stood counts from now on where nobody was told of it yet.

    A machine that restarts stops the agent first and the watch a moment later; half an hour later the watch is back
    a moment before the agent. Nothing was down for long that anybody looked at.
    """
    fresh = {key: one if one.told else replace(one, since=now) for key, one in state.standing.items()}
    return replace(state, standing=fresh)


def meet(state: Told, recipients: Iterable[str], now: datetime) -> Told:
    """Take in who is told; times that lie ahead, of a clock that was set back since, count as now."""
    names = frozenset(recipients)
    # A file of before 0.3.0 does not say since when: whoever was told of anything was there.
    known = dict.fromkeys(frozenset[str]().union(*(one.told for one in state.standing.values())), state.began)
    since = {name: min(at, now) for name, at in {**known, **state.met}.items() if name in names}
    first = state.began if not known and not state.met else now
    return replace(state, met={**dict.fromkeys(names, first), **since})


def look(state: Told, alerts: Iterable[Alert], now: datetime) -> Told:
    """Take in what stands now; forget what has been away for ``QUIET_SECONDS``, counted from when that was seen.

    So what stood before a process was down, and stands after, is no news. Times that lie ahead, of a clock that was
    set back since, count as now.
    """
    alerts = list(alerts)
    there = {alert.key for alert in alerts}
    hidden = frozenset[str]().union(*(alert.hides for alert in alerts))
    found = {key: Seen(since=now) for key in there - state.standing.keys()}
    for key, one in state.standing.items():
        # What was told and cannot be seen is no news when it is seen again; what was not told begins anew then.
        if key not in there and key.partition(" ")[0] in hidden:
            found |= {key: one} if one.told else {}
            continue
        gone = None if key in there else min(one.gone or now, now)
        if gone is None or (now - gone).total_seconds() < QUIET_SECONDS:
            found[key] = replace(one, since=min(one.since, now), gone=gone)
    # Else a clock that was ahead on the first day would keep what happens from being told until then.
    return replace(state, began=min(state.began, now), standing=found)


def due(state: Told, alerts: Iterable[Alert], recipient: str, now: datetime) -> tuple[Alert, ...]:
    """Give the alerts of these that a recipient is still to be told of, each once, in their order."""
    found: dict[str, Alert] = {}
    for alert in alerts:
        one = state.standing.get(alert.key)
        old = alert.happened is not None and alert.happened < state.met.get(recipient, state.began)
        if one is None or old or recipient in one.told:
            continue
        if now - one.since >= timedelta(seconds=alert.after_seconds):
            found.setdefault(alert.key, alert)
    return tuple(found.values())


def tell(state: Told, keys: Iterable[str], recipient: str) -> Told:
    """Note that a recipient was told of these."""
    changed = {
        key: replace(state.standing[key], told=state.standing[key].told | {recipient})
        for key in keys
        if key in state.standing
    }
    return replace(state, standing={**state.standing, **changed})


class ToldFile:
    """The state on disk, for one process. A crash leaves it as it was, or as it was last written."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made by the first ``write``."""
        self.path = path

    def read(self, now: datetime) -> Told:
        """Give the state; a new one that begins now where there is no file.

        ConfigurationError where it is not what ``write`` wrote: taken for empty, everything would be told again.
        """
        try:
            content = read_bounded(self.path, LARGEST_STATE)
        except FileNotFoundError:
            return Told(began=now)
        except OSError as error:
            raise ConfigurationError(f"alerts={self.path}: cannot be read ({error.strerror})") from error
        try:
            return _read(content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigurationError(
                f"alerts={self.path}: is not what the last watch wrote; remove it, and all that stands is told again"
            ) from error

    def write(self, state: Told) -> None:
        """Put the state there; OSError where the disk takes it not."""
        write_durably(self.path, _written(state), 0o600)


def _written(state: Told) -> bytes:
    standing = {
        key: {
            "since": _time(one.since),
            "gone": None if one.gone is None else _time(one.gone),
            "told": sorted(one.told),
        }
        for key, one in state.standing.items()
    }
    met = {name: _time(at) for name, at in state.met.items()}
    return canonical_json({"began": _time(state.began), "standing": standing, "met": met})


def _read(content: bytes) -> Told:
    plain = read_json(content, LARGEST_STATE)
    standing = {
        key: Seen(
            since=zoned_time(one["since"]),
            gone=None if one["gone"] is None else zoned_time(one["gone"]),
            told=frozenset(map(str, one["told"])),
        )
        for key, one in plain["standing"].items()
    }
    met = {str(name): zoned_time(at) for name, at in plain.get("met", {}).items()}
    return Told(began=zoned_time(plain["began"]), standing=standing, met=met)


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds")
