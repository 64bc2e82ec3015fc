"""How many parts a text message takes: GSM 03.38 with its extension table, or UCS-2 where one letter needs it.

3GPP TS 23.038, section 6.2.1 (alphabet and extension table); TS 23.040, section 9.2.3.24.1 (a header in each part).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
GSM, UCS2 = "GSM 03.38", "UCS-2"
_ONE_PART = {GSM: 160, UCS2: 70}
_OF_SEVERAL = {GSM: 153, UCS2: 67}


@dataclass(frozen=True)
class SmsSize:
    """How a text travels. units: septets of GSM 03.38, or 16-bit units of UCS-2. segments: parts that are paid for."""

    encoding: str
    units: int
    segments: int


def sms_size(text: str) -> SmsSize:
    """Measure a text.

    >>> sms_size("See you at 9 h.")
    SmsSize(encoding='GSM 03.38', units=15, segments=1)
    >>> sms_size("€" * 81).segments, sms_size("č" * 71).segments
    (2, 2)
    """
    encoding = GSM if other_letters(text) == "" else UCS2
    sizes = list(_sizes(text, encoding))
    units = sum(sizes)
    return SmsSize(
        encoding, units, 1 if units <= _ONE_PART[encoding] else _packed(sizes, _OF_SEVERAL[encoding])
    )


def other_letters(text: str) -> str:
    """Give the characters, each once, for which the whole text needs UCS-2."""
    return "".join(dict.fromkeys(one for one in text if one not in _BASIC and one not in _EXTENDED))


def _sizes(text: str, encoding: str) -> Iterator[int]:
    for one in text:
        if encoding == GSM:
            yield 2 if one in _EXTENDED else 1
        else:
            yield 2 if ord(one) > 0xFFFF else 1


def _packed(sizes: Iterable[int], most: int) -> int:
    """Count parts: neither an escaped character nor a pair of surrogates is split between two."""
    segments, used = 1, 0
    for size in sizes:
        if used + size > most:
            segments, used = segments + 1, 0
        used += size
    return segments
