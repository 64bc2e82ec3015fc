"""What a form of the page asks for. Pure.

topic.WORD, channel.WORD   ``off`` or ``again``; empty for no change
pause                      one of the days that the page offers, ``end``, or empty
stop                       ``all``, of the page's second form
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from wardround.client.preferences.choice import END, Wish

OFF, AGAIN, ALL = "off", "again", "all"
PAUSE_WEEKS = (2, 4, 13, 26, 52)
_SLACK = timedelta(days=2)
"""A page that was opened before midnight is sent after it."""


def pauses(today: date) -> tuple[date, ...]:
    """Give the days up to which a pause may last, as the page offers them."""
    return tuple(today + timedelta(weeks=weeks) for weeks in PAUSE_WEEKS)


def wish_of(
    form: Mapping[str, str], topics: Sequence[str], channels: Sequence[str], today: date
) -> Wish | None:
    """Read a form; None where it is not one of the page's. ``language`` is the page's own business."""
    fields = {name: value for name, value in form.items() if name != "language"}
    if fields == {"stop": ALL}:
        return Wish(stop=True)
    pause = fields.pop("pause", "")
    parts: dict[str, dict[str, bool]] = {"topic": {}, "channel": {}}
    known = {"topic": topics, "channel": channels}
    for name, value in fields.items():
        part, _, word = name.partition(".")
        if part not in parts or word not in known[part] or value not in ("", OFF, AGAIN):
            return None
        if value:
            parts[part][word] = value == AGAIN
    if pause not in ("", END) and not _is_offered(pause, today):
        return None
    return Wish(topics=parts["topic"], channels=parts["channel"], until=pause)


def _is_offered(pause: str, today: date) -> bool:
    try:
        day = date.fromisoformat(pause)
    except ValueError:
        return False
    return day.isoformat() == pause and today < day <= max(pauses(today)) + _SLACK
