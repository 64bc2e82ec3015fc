"""How people say that they want no more messages, and how a message says that they may: words by language.

``stopping_words/LANGUAGE.yaml`` holds them. A reply is read in every language at once, whatever the message's was:
doubt falls on the safe side.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wardround.client.outreach.content.language import base_language
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.content.wording import as_read, phrases_found
from wardround.protocol.text.plain import read_yaml
from wardround.protocol.text.section import Section

_FOLDER = Path(__file__).parent / "stopping_words"
_LONGEST_REPLY = 2000  # characters that are looked at
_SIGNS, _SIGNS_ALONE = frozenset("🛑⛔🚫🔕"), frozenset("✋🤚🖐❌✖❎👎")
"""Signs that stop messages wherever they stand in a reply; and those that do where a reply has no word."""
_SHORTEST_SLIP = 4  # letters of a word in which one slip of the finger is forgiven


@dataclass(frozen=True, kw_only=True)
class StoppingWords:
    """Of one language. stop: wherever it stands; alone: as the whole reply; how: what tells that a reply stops."""

    stop: tuple[str, ...]
    alone: tuple[str, ...]
    how: tuple[str, ...]


@cache
def stopping_words() -> Mapping[str, StoppingWords]:
    """Read the words of all languages, by language."""
    found = {}
    for path in sorted(_FOLDER.glob("*.yaml")):
        section = Section(read_yaml(path.read_bytes(), path.name), path.name)
        found[path.stem] = StoppingWords(
            stop=section.texts("stop"), alone=section.texts("alone"), how=section.texts("how")
        )
        section.finish()
    return found


def says_stop(reply: str) -> bool:
    """Whether a reply takes contact back, in any language, however it is spelt.

    >>> [says_stop(text) for text in ("STOP!", "s t o p", "Please don't text me", "Sotp", "cancel", "ALTO")]
    [True, True, True, True, True, True]
    >>> [says_stop(text) for text in ("🛑", "No 🚫 thanks", "✋🏽", "İPTAL", "стоп")]
    [True, True, True, True, True]
    >>> [says_stop(text) for text in ("I need to cancel my visit", "Thank you", "See you at the end of May")]
    [False, False, False]
    """
    read = as_read(reply[:_LONGEST_REPLY])
    if _SIGNS.intersection(reply) or (not read and _SIGNS_ALONE.intersection(reply)):
        return True
    words = stopping_words().values()
    if any(True for one in words for _ in phrases_found(read, {"stop": one.stop})):
        return True
    joined = read.replace(" ", "")
    whole = {as_read(phrase).replace(" ", "") for one in words for phrase in (*one.stop, *one.alone)}
    return joined in whole or any(_is_slip(joined, word) for word in whole)


def may_say_how_to_stop(module: Module) -> bool | None:
    """Whether a message tells how to stop; None where no words of its language are listed."""
    words = stopping_words().get(base_language(module.language))
    if words is None:
        return None
    return any(True for _ in phrases_found(module.text, {"how": words.how}))


def must_say_how_to_stop(module: Module) -> bool:
    """Whether a message must tell it: marketing by any channel, and whatever comes by SMS."""
    return module.message_class == "marketing" or module.channel == "sms"


def _is_slip(text: str, word: str) -> bool:
    """Whether a text is a word with one letter wrong, missing, too many, or two neighbours exchanged."""
    if len(word) < _SHORTEST_SLIP or abs(len(text) - len(word)) > 1 or text[:1] != word[:1]:
        return False
    start = next((i for i, (a, b) in enumerate(zip(text, word, strict=False)) if a != b), len(word))
    rest, other = text[start:], word[start:]
    exchanged = rest[:2] == other[:2][::-1] and rest[2:] == other[2:]
    return exchanged or rest[1:] == other[1:] or rest[1:] == other or rest == other[1:]
