"""A clock in a test's hand, for every module at once: pictures tell the same story whenever they are drawn."""

import os
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest


class StoryTime:
    """Stands where modules have the name ``datetime``: ``now`` is the story's, all else the real class's."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self, *parts: Any, **named: Any) -> datetime:
        return datetime(*parts, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(datetime, name)

    def __instancecheck__(self, one: object) -> bool:
        return isinstance(one, datetime)

    def __or__(self, other: Any) -> Any:
        return datetime | other

    def now(self, tz: tzinfo | None = None) -> datetime:
        return self.moment.astimezone(tz)

    def wait(self, **apart: float) -> None:
        """Let time go by: ``wait(days=1)``."""
        self.moment += timedelta(**apart)

    def touch(self, folder: Path) -> None:
        """Have all files below a folder written now."""
        for path in folder.rglob("*"):
            if path.is_file():
                os.utime(path, (self.moment.timestamp(), self.moment.timestamp()))


def tell(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> StoryTime:
    """Give every module that is loaded, ours and the tests', this clock."""
    clock = StoryTime(moment)
    for name, module in list(sys.modules.items()):
        ours = name.startswith(("wardround.", "tests.")) and name != __name__
        if ours and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", clock)
    return clock
