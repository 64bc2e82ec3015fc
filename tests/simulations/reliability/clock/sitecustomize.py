"""Shift this process's clock by WARDROUND_CLOCK_SHIFT seconds: put this folder on PYTHONPATH."""

import datetime
import os
import time
from typing import Any

SHIFT = float(os.environ.get("WARDROUND_CLOCK_SHIFT", "0"))
_real = datetime.datetime
_seconds, _nanoseconds = time.time, time.time_ns


class _LikeReal(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _real)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _real)


class Shifted(_real, metaclass=_LikeReal):
    """``datetime`` with another now; every value it gives is a plain one."""

    def __new__(cls, *arguments: Any, **settings: Any) -> Any:
        return _real(*arguments, **settings)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _real.now(tz) + datetime.timedelta(seconds=SHIFT)

    @classmethod
    def utcnow(cls) -> Any:
        return _real.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(seconds=SHIFT)


if SHIFT:
    datetime.datetime = Shifted  # type: ignore[misc]
    time.time = lambda: _seconds() + SHIFT
    time.time_ns = lambda: _nanoseconds() + int(SHIFT * 1e9)
