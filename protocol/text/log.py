"""A program's log on standard error: for a person at a terminal, for a file, or for a machine.

Commands that run until they are stopped write it, in one of three styles (``WARDROUND_LOG``):

- ``plain``: the line alone, as a person at a terminal wants it; where standard error is a terminal.
- ``text``: time in UTC, level, message, and ``key=value`` for what the record is about; where it is a file or a pipe.
- ``json``: one JSON object a line.

A message that holds ``=`` or ``"``, and a value that is not one simple word, are quoted as in JSON. So a line of text
parses back into what was written, whatever others made a hospital's name or an error say. No style writes colours.
"""

import json
import logging
import math
import re
import sys
from argparse import Namespace
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import LONGEST_SHOWN, complain, write_log_line
from wardround.protocol.text.text import visible

PLAIN, TEXT, JSON = "plain", "text", "json"
LOG_STYLE = "WARDROUND_LOG"
"""The environment's variable that chooses; processes that a program starts inherit it."""
FACTS = "facts"
"""The attribute of a log record (``extra={FACTS: …}``) that holds its keys and values."""
_SIMPLE = re.compile(r"[A-Za-z0-9._:/@+,-]+")
_LONG_ACTIONS = ("watch", "serve", "desk", "up")
"""Second words (of ``alerts`` and ``console``) that run until they are stopped."""
_style = PLAIN


def log_style(environment: Mapping[str, str], terminal: bool) -> str:
    """Give the style that the environment names, or the one that suits. terminal: whether a person is looking."""
    named = environment.get(LOG_STYLE, "")
    if named not in ("", PLAIN, TEXT, JSON):
        raise ConfigurationError(
            f"{LOG_STYLE}={visible(named, 60)}: is no style; use {PLAIN}, {TEXT} or {JSON}"
        )
    return named or (PLAIN if terminal else TEXT)


def is_log(options: Namespace, modules: Collection[str]) -> bool:
    """Whether a command line begins a program that runs until it is stopped. modules: of this side's."""
    return options.module in modules and getattr(options, "action", None) in (None, *_LONG_ACTIONS)


@contextmanager
def log_as(style: str) -> Iterator[None]:
    """Have ``report`` write in this style until the block ends."""
    global _style
    before, _style = _style, style
    try:
        yield
    finally:
        _style = before


def report(line: str, level: int = logging.INFO, /, **facts: object) -> None:
    """Say one line on standard error, in the style in force; facts: what it is about, for files and machines."""
    if _style == PLAIN:
        complain(line)
    else:
        write_log_line(_written(_style, datetime.now(UTC), logging.getLevelName(level), line, facts))


class LogHandler(logging.Handler):
    """Writes records of ``logging`` on standard error. A record always bears its time: ``plain`` counts as text."""

    def __init__(self, style: str) -> None:
        """Keep the style."""
        super().__init__()
        self._style, self._message = style, logging.Formatter("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line; a traceback's lines are joined."""
        at, facts = datetime.fromtimestamp(record.created, UTC), getattr(record, FACTS, {})
        return _written(self._style, at, record.levelname, self._message.format(record), facts)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; as with the handlers of ``logging``, a record that fails ends no program."""
        try:
            write_log_line(self.format(record))
        except Exception:
            self.handleError(record)


def take_over(library: str, environment: Mapping[str, str]) -> None:
    """Write a library's own log in the style that the environment asks for; at a terminal it stays as it is."""
    style = log_style(environment, sys.stderr.isatty())
    if style != PLAIN:
        logger = logging.getLogger(library)
        logger.handlers, logger.propagate = [LogHandler(style)], False
        logger.setLevel(max(logger.level, logging.INFO))


def _written(style: str, at: datetime, level: str, message: str, facts: Mapping[str, object]) -> str:
    time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = visible(message, LONGEST_SHOWN)
    if style == JSON:
        plain = {key: _plain(value) for key, value in facts.items()}
        return json.dumps({**plain, "time": time, "level": level, "message": message}, allow_nan=False)
    quoted = json.dumps(message, ensure_ascii=False) if not message or set(message) & set('="') else message
    # A mapping (who was refused, and why) stands in the message; as a word of a line nobody could read it.
    pairs = [f"{key}={_word(value)}" for key, value in facts.items() if not isinstance(value, Mapping)]
    return " ".join([time, level, quoted, *pairs])


def _word(value: object) -> str:
    if isinstance(value, list | tuple):
        text = visible(",".join(visible(one) for one in value), LONGEST_SHOWN)
    else:
        text = json.dumps(value) if value is None or isinstance(value, bool) else visible(value)
    return text if _SIMPLE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _plain(value: object) -> object:
    """Make a value JSON's own, its texts visible and bounded."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {visible(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return visible(value)
