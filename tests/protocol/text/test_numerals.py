"""Numbers as a person reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.protocol.text.numerals import small_number

_LOWERED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@pytest.mark.parametrize(
    ("delta", "written"),
    [
        (1e-5, "10⁻⁵"), (2.5e-6, "2.5·10⁻⁶"), (1e-10, "10⁻¹⁰"), (0.0001, "10⁻⁴"), (9.999999e-6, "10⁻⁵"),
        (0.001, "0.001"), (0.02, "0.02"), (0.0, "0"),
    ],
)  # fmt: skip
def test_a_delta_is_written_as_people_write_it(delta: float, written: str) -> None:
    assert small_number(delta) == written


@given(st.floats(min_value=1e-300, max_value=0.5))
def test_every_delta_reads_back_and_no_line_breaks_within_it(delta: float) -> None:
    written = small_number(delta)
    assert not set(small_number(delta, 2)) & set(" -e")
    factor, _, power = written.rpartition("10") if "⁻" in written else (written, "", "")
    value = float(factor.rstrip("·") or 1) * 10.0 ** int(power.translate(_LOWERED) or 0)
    assert value == pytest.approx(delta, rel=1e-5)
    assert not set(written) & set(" -")
