"""Terminals and files that are not UTF-8: what their encoding has no character for is spelt, and nothing fails."""

import codecs
import io
import re
import sys

_HANDLER = "wardround"
# What our own lines use. Names of hospitals and studies hold none of these, so no two of them look alike here.
_SPELT = {
    "ε": "epsilon", "δ": "delta", "σ": "sigma", "α": "alpha", "ρ": "rho", "γ": "gamma", "ν": "nu",
    "×": "x", "–": "-", "—": "-", "−": "-", "‖": "||", "’": "'", "…": "...", "·": "*", "√": "sqrt ",
    "≤": "<=", "≥": ">=", "±": "+-", "→": "->", "≈": "~", "°": " degrees", "∞": "infinity",
}  # fmt: skip
_RAISED = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
_POWER, _LOWERED = re.compile(f"[{_RAISED}]+"), str.maketrans(_RAISED, "-0123456789")


def spell_what_cannot_be_encoded() -> None:
    r"""Have standard output and error spell what their encoding lacks: ``epsilon = 1``, and ``\u65e5`` for the rest."""
    codecs.register_error(_HANDLER, spelt)
    for stream in (sys.stdout, sys.stderr):
        # Where a program that imports us has put something else, its own rules hold.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def spelt(error: UnicodeError) -> tuple[str, int]:
    """Give what stands for the characters that could not be encoded, and where to go on; an error handler of codecs."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    wanted = _POWER.sub(lambda power: f"^{power[0].translate(_LOWERED)}", lacking)
    return "".join(_SPELT.get(one) or _escaped(one) for one in wanted), error.end


def _escaped(one: str) -> str:
    # What _POWER wrote is ASCII already.
    return one if one.isascii() else one.encode("unicode_escape").decode("ascii")
