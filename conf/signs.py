"""Values of a command line that Hydra's grammar would read otherwise than they are written.

A shell takes the quotes away, and the grammar has a meaning of its own for a bare sign. It also allows no quotes and
no accents in the keys of a mapping, and a hospital's words have both.
"""

import re

from hydra.core.override_parser.types import Quote, QuotedString

_ONE_SIGN = re.compile(r"(data\.format\.(?:separator|quote|decimal|thousands))=([^\w\\])")
_MAPPING = re.compile(r"(data\.(?:columns|values|patients|consents|assessments))=(\{.*\})", re.DOTALL)


def as_written(override: str) -> str:
    r"""Quote the value where it is one sign of a table's format, or a mapping of its names and words.

    ``wardround.conf.compose`` reads the mapping as the YAML that it would be in hospital.yaml. Anything else stays as
    it is.

    >>> as_written("data.format.separator=;")
    "data.format.separator=';'"
    >>> as_written('data.values={sex: {"1": F}}')
    'data.values=\'{sex: {"1": F}}\''
    """
    if found := _ONE_SIGN.fullmatch(override):
        key, sign = found.groups()
        return f"{key}={_quoted(sign, Quote.double if sign == chr(39) else Quote.single)}"
    if found := _MAPPING.fullmatch(override):
        key, mapping = found.groups()
        return f"{key}={_quoted(mapping, Quote.single)}"
    return override


def _quoted(text: str, quote: Quote) -> str:
    return QuotedString(text, quote).with_quotes()
