"""How numbers are written where a person reads them, in one way for pages, reports and terminals. Pure."""

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def small_number(value: float, digits: int = 6) -> str:
    """Write δ or a p-value as a person reads it: ``10⁻⁵``, ``2.5·10⁻⁶``; from 0.001 on as a decimal fraction.

    value: not negative. digits: how many count. No line breaks within it, as one does at the hyphen of
    ``1e-05``. What a person is to type keeps the spelling that a file takes.
    """
    if value == 0 or value >= 0.001:
        return f"{value:.{digits}g}"
    factor, exponent = f"{value:.{digits - 1}e}".split("e")
    power = f"10{str(int(exponent)).translate(_RAISED)}"
    factor = factor.rstrip("0").rstrip(".") if "." in factor else factor
    return power if factor == "1" else f"{factor}·{power}"
