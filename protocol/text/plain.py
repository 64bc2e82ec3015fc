"""The one reader of JSON and the one reader of YAML: bytes of anybody's become plain values, or one error.

Plain values are mappings, lists, texts, whole numbers below 2⁶³ in size, finite floats, true, false and null.
Both readers bound size and depth, take a key once, and never quote what they were given. What the texts may
hold is for ``protocol.text.text``; which keys there are for ``protocol.text.section``.

YAML is what people write by hand, and PyYAML reads it by the rules of 2005: ``12:30`` as 750, ``010`` as 8,
``no`` as false, the last of two equal keys as the value, and 400 bytes of aliases as a gigabyte. Here plain
words are read as in YAML 1.2, a number has JSON's spelling (``010`` stays the text that it is in a table),
and there are no anchors, aliases, tags, merge keys, directives or second documents.
"""

import json
import re
from collections.abc import Hashable
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from wardround.protocol.errors import ConfigurationError

DEEPEST = 32  # mappings and lists within one another
LARGEST_YAML = 2**18  # bytes; PyYAML reads some 200 kB a second
MOST_NODES = 20_000  # of one YAML file
LARGEST_NUMBER = 1e100  # its square and cube are finite too
_LONGEST_NUMBER = 64  # characters, looked at before they are converted
_NULL = re.compile(r"|~|null|Null|NULL")
_TRUE, _FALSE = re.compile("true|True|TRUE"), re.compile("false|False|FALSE")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class PlainError(ValueError):
    """Bytes are not plain data; the text says why in a few words, and quotes nothing of them."""


def read_json(content: bytes, most: int, deepest: int = DEEPEST) -> Any:
    """Read one JSON value of at most ``most`` bytes; PlainError (a ValueError) for whatever is wrong.

    Refuses another encoding than UTF-8, a key that stands twice, nesting beyond ``deepest``, NaN and infinity,
    whole numbers from 2⁶³, floats beyond LARGEST_NUMBER, and halves of characters.
    """
    if len(content) > most:
        raise PlainError(f"is larger than {most} bytes")
    try:
        text = content.decode()
        value = json.loads(
            text, object_pairs_hook=_once, parse_int=_whole, parse_float=_float, parse_constant=_no_number
        )
    except PlainError:
        raise
    except (ValueError, RecursionError) as error:
        raise PlainError("is not JSON in UTF-8") from error
    _bound_depth(value, deepest)
    if _SURROGATE.search(text):
        _refuse_halves(json.dumps(value, ensure_ascii=False))
    return value


def read_yaml(content: bytes, name: str, most: int = LARGEST_YAML) -> Any:
    """Read one YAML document; ConfigurationError ``name: what is wrong (line 3)`` for whatever is wrong.

    An empty file is null.
    """
    if len(content) > most:
        raise ConfigurationError(f"{name}: is larger than {most} bytes")
    try:
        return _YamlReader(content.decode()).document()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{name}: is not text in UTF-8 (line {line})") from error
    except _YamlFault as fault:
        raise ConfigurationError(f"{name}: {fault}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigurationError(f"{name}: is not YAML{_at(mark)}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        # The reader's own: a control character, or an escape of no character.
        raise ConfigurationError(f"{name}: is not YAML; it holds a character that no text has") from None


class _YamlFault(Exception):
    """What is wrong, and in which line."""


class _YamlReader:
    """Builds plain values from PyYAML's events; its resolver and constructor, which know tags, stay out."""

    def __init__(self, text: str) -> None:
        self._events = yaml.SafeLoader(text)
        self._nodes = 0

    def document(self) -> Any:
        """Read the stream: nothing, or one document."""
        self._next()  # the stream's start
        event = self._next()
        if isinstance(event, StreamEndEvent):
            return None
        if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
            _fault(event, "must hold no directive")
        value = self._value(self._next(), 0)
        self._next()  # the document's end
        event = self._next()
        if not isinstance(event, StreamEndEvent):
            _fault(event, "must be one document")
        return value

    def _next(self) -> Event:
        event: Event = self._events.get_event()  # type: ignore[no-untyped-call]
        return event

    def _value(self, event: Event, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            _fault(event, f"must hold at most {MOST_NODES} values")
        if depth > DEEPEST:
            _fault(event, f"must nest at most {DEEPEST} deep")
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
            _fault(event, "must hold no anchor and no alias (& and *); put a text that begins so in quotes")
        if getattr(event, "tag", None) is not None:
            _fault(event, "must hold no tag (!); put a text that begins so in quotes")
        if isinstance(event, MappingStartEvent):
            return self._mapping(depth + 1)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(depth + 1)
        return _scalar(event)

    def _mapping(self, depth: int) -> dict[Hashable, Any]:
        found: dict[Hashable, Any] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            if isinstance(event, MappingStartEvent | SequenceStartEvent):
                _fault(event, "must have texts as keys")
            if isinstance(event, ScalarEvent) and event.value == "<<" and event.implicit[0]:
                _fault(event, "must hold no merge key (<<)")
            key = self._value(event, depth)
            if key in found:
                # The second of two caps must not win unseen.
                _fault(event, "must hold each key once")
            found[key] = self._value(self._next(), depth)
        return found

    def _sequence(self, depth: int) -> list[Any]:
        found = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            found.append(self._value(event, depth))
        return found


def _scalar(event: Event) -> str | int | float | bool | None:
    if not isinstance(event, ScalarEvent):
        _fault(event, "is not YAML")
    text: str = event.value
    try:
        _refuse_halves(text)
        return _plain_word(text) if event.style is None else text
    except PlainError as error:
        _fault(event, str(error))


def _plain_word(text: str) -> str | int | float | bool | None:
    """Read an unquoted word as YAML 1.2 does, numbers in JSON's spelling: ``010`` is a text, ``1e-5`` a number."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return text[0] in "tT"
    if _WHOLE.fullmatch(text):
        return _whole(text)
    return _float(text) if _FLOAT.fullmatch(text) else text


def _fault(event: Event, what: str) -> NoReturn:
    raise _YamlFault(f"{what}{_at(event.start_mark)}")


def _at(mark: Any) -> str:
    return f" (line {mark.line + 1})" if mark is not None else ""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    plain = dict(pairs)
    if len(plain) < len(pairs):
        raise PlainError("holds a key twice")
    return plain


def _whole(digits: str) -> int:
    # Python takes quadratic time to convert digits: their number comes first.
    if len(digits) > _LONGEST_NUMBER or abs(int(digits)) >= 2**63:
        raise PlainError("holds a number of 2^63 or more")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > _LONGEST_NUMBER or abs(float(digits)) > LARGEST_NUMBER:
        raise PlainError(
            f"holds a number of more than {_LONGEST_NUMBER} digits, or beyond {LARGEST_NUMBER:g}"
        )
    return float(digits)


def _no_number(word: str) -> NoReturn:
    raise PlainError("holds a number that is not finite")


def _bound_depth(value: object, deepest: int) -> None:
    level = [value]
    for _ in range(deepest + 1):
        holders = [one for one in level if isinstance(one, dict | list)]
        level = [each for one in holders for each in (one.values() if isinstance(one, dict) else one)]
        if not level:
            return
    raise PlainError(f"nests more than {deepest} deep")


def _refuse_halves(text: str) -> None:
    """Refuse surrogates without their other half, which no encoding can write."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PlainError("holds half a character") from error
