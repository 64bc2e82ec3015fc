"""Identifiers that Excel rounded: a withdrawal counts for everybody whom it may mean, and doctor says so."""

from itertools import product

import polars as pl
import pytest

from tests.client.gate.test_consent_match import ASKING, OPEN, granted, messages, opted_out, patients
from wardround.client.connectors.patient_form import AS_WRITTEN, PatientForm
from wardround.client.connectors.rounded import whom_rounded_mean
from wardround.client.connectors.source import Tables
from wardround.client.gate.spellings import count_named, count_spellings

PHONES = [f"4917{number:08d}" for number in range(123, 100_000_000, 1_000_000)]
SPELT = {"excel": "{:.5E}", "pandas": "{:.5e}", "two digits": "{:.1E}", "longer": "{:.8E}"}


def spelt(name, how="excel", decimal="."):
    return SPELT[how].format(float(name)).replace(".", decimal)


@pytest.mark.parametrize(
    "form", [PatientForm(), PatientForm(form="number"), AS_WRITTEN], ids=lambda f: f.form
)
@pytest.mark.parametrize(
    ("how", "decimal"),
    [
        pytest.param(how, decimal, marks=() if (how, decimal) == ("excel", ".") else pytest.mark.slow)
        for how, decimal in product(SPELT, ".,")
    ],
)
def test_who_withdraws_under_a_rounded_number_is_out(how, decimal, form):
    out = PHONES[::7]
    withdrawn = opted_out(out, lambda name: spelt(name, how, decimal))
    for name in out:
        one = Tables(messages([name]), None, withdrawn, patient_form=form)
        assert patients(one) == 0
    consents = pl.concat([granted(PHONES), withdrawn])
    left = patients(Tables(messages(PHONES), None, consents, patient_form=form), ASKING)
    meant = {spelt(name, how, decimal) for name in out}
    near = [name for name in PHONES if spelt(name, how, decimal) in meant]
    assert left <= len(PHONES) - len(near)
    if how in ("excel", "longer"):
        assert left > 0, "and nobody else"


def test_who_withdraws_is_out_where_patients_are_known_by_rounded_numbers():
    known = sorted({spelt(name) for name in PHONES})
    tables = Tables(messages(known), None, opted_out(["49 1761 2-04000"]))
    assert patients(tables) == len(known) - len({one for one in known if one == spelt("491761204000")})
    assert patients(Tables(messages(known), None, opted_out(["4.9176E+11"]))) < len(known) - 1
    assert patients(Tables(messages(known), None, opted_out(["4.8176E+11"]))) == len(known)


def test_a_grant_under_a_rounded_number_grants_nothing_and_nothing_else_changes():
    assert patients(Tables(messages(PHONES), None, granted(PHONES, spelt)), ASKING) == 0
    # Nor where patients are known by rounded numbers: several of them may be known by one.
    for form in (PatientForm(), PatientForm(form="number"), AS_WRITTEN):
        known = Tables(messages(PHONES, spelt), None, granted(PHONES, spelt), patient_form=form)
        assert patients(known, ASKING) == 0
    # Letters and digits that look like an exponent and are an identifier: nothing was lost.
    names = ["12E45", "1E5", "E+11", "100000", "491761200000"]
    assert patients(Tables(messages(names), None, opted_out(["12E45"]))) == len(names) - 1
    assert patients(Tables(messages(names), None, opted_out(["1.0E+05"]))) == len(names) - 2, (
        "1E5, and 100000"
    )


def test_doctor_counts_rounded_numbers_wherever_they_stand():
    consents = pl.concat([granted(PHONES[3:]), opted_out(PHONES[:3], spelt)])
    [named] = count_named(Tables(messages(PHONES), None, consents), OPEN, "consents")
    assert (named.rows, named.nearly) == (len(PHONES), 3)
    assert count_spellings(Tables(messages(PHONES)), OPEN).rounded == 0
    assert count_spellings(Tables(messages(PHONES, spelt)), OPEN).rounded == 3 * len(PHONES)


def test_many_rounded_numbers_are_looked_up_without_pairs():
    people = pl.DataFrame({"patient": [f"49{number:010d}" for number in range(20_000)]}).with_row_index(
        "index"
    )
    texts = pl.Series([f"{49_000_000_000 + 7 * number:.5E}" for number in range(20_000)])
    assert len(whom_rounded_mean(texts, people)) == 0
    shifted = pl.Series([f"{490_000_000_000 + 7 * number:.5E}" for number in range(20_000)])
    assert len(whom_rounded_mean(shifted, people)) == len(people)
    assert len(whom_rounded_mean(shifted, people.with_columns(patient=shifted))) == len(people)
