"""Questions and answers as bytes between the pages' process and the desk's: JSON behind its length, bounded."""

import json
from dataclasses import asdict
from typing import Any

from wardround.pages.desk import OUTCOMES, Answer, Question, Who
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.plain import read_json

LARGEST_QUESTION, LARGEST_ANSWER = 256 * 1024, 16 * 2**20


def question_to_bytes(question: Question) -> bytes:
    """Spell a question."""
    return _spelled(asdict(question))


def question_from_bytes(payload: bytes) -> Question:
    """Read a question; ConfigurationError for anything else. Whether it may be asked, the desk says."""
    plain = _mapping(payload, LARGEST_QUESTION, {"name", "token", "form_token", "address", "arguments"})
    arguments = plain.pop("arguments")
    texts = {**plain, **(arguments if isinstance(arguments, dict) else {"": None})}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ConfigurationError("question: must be texts alone")
    return Question(**plain, arguments=arguments)


def answer_to_bytes(answer: Answer) -> bytes:
    """Spell an answer."""
    return _spelled(asdict(answer))


def answer_from_bytes(payload: bytes) -> Answer:
    """Read an answer; ConfigurationError for anything else."""
    plain = _mapping(payload, LARGEST_ANSWER, {"outcome", "who", "value", "line", "token"})
    who = plain["who"]
    if plain["outcome"] not in OUTCOMES:
        raise ConfigurationError("answer: of an unknown kind; are pages and desk of one release?")
    return Answer(**{**plain, "who": Who(**{**who, "roles": tuple(who["roles"])}) if who else None})


def _mapping(payload: bytes, most: int, keys: set[str]) -> dict[str, Any]:
    try:
        plain = read_json(payload, most)
    except ValueError as error:
        raise ConfigurationError(f"message between pages and desk: {error}") from error
    if not isinstance(plain, dict) or set(plain) != keys:
        raise ConfigurationError("message between pages and desk: of another form; are both of one release?")
    return plain


def _spelled(plain: object) -> bytes:
    return json.dumps(plain, allow_nan=False).encode()
