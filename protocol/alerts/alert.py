"""One thing that a person must be told."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Alert:
    """What is so now, or what happened; never a patient's data, and no figure that depends on tables.

    event: of the side's list. subject: what it is about (a study, a hospital, a file). With the event it is the
    alert's key: as long as both stay the same it is one alert, and told once. text, remedy: a line each.
    happened: when, of what does not pass by itself, such as a study's end; None for what stands until it is fixed.
    after_seconds: how long it must have stood before anybody is told; a line that breaks for a minute wakes nobody.
    hides: events that nobody can see while this stands: those that were told of are not over for that.
    """

    event: str
    subject: str
    text: str
    remedy: str = ""
    happened: datetime | None = None
    after_seconds: float = 0.0
    hides: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """Event and subject, by which it is known again."""
        return f"{self.event} {self.subject}".rstrip()

    def __str__(self) -> str:
        """Write it in one line."""
        return f"{self.text}. Remedy: {self.remedy}" if self.remedy else self.text
