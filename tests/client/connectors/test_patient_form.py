"""Who is one patient: every spelling's canonical and loose form, row by row."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.client.connectors.patient_form import (
    AS_WRITTEN,
    PatientForm,
    canonical_texts,
    loose_texts,
    patient_from_section,
    readings,
)
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.section import Section

TEXT, NUMBER, UUID = (PatientForm(form=form) for form in ("text", "number", "uuid"))
FOLD, DROP = PatientForm(case="fold"), PatientForm(leading_zeros="drop")
ALL = (TEXT, FOLD, DROP, NUMBER, UUID, AS_WRITTEN)
HEX = "550e8400e29b41d4a716446655440000"
# Whatever makes spellings differ, more often than among all characters.
PIECES = st.sampled_from(
    [*"0123aZ.,-+eE '{}\u200b\u00a0\u2011\uff11\u0661\u0130\u1e9e\u03a3\u0308", ".0", "000"]
)
SPELLINGS = st.lists(PIECES | st.characters(codec="utf-8"), max_size=12).map("".join)


def series(texts):
    return pl.Series("patient", list(texts), pl.String)


def one(text, form):
    return canonical_texts(series([text]), form).item()


@pytest.mark.parametrize(
    ("form", "written", "read"),
    [
        (TEXT, "1001.0", "1001"),
        (TEXT, "1001.00", "1001"),
        (TEXT, "1001.000", "1001"),
        (TEXT, "12.000", "12.000"),  # may be twelve thousand
        (TEXT, "1,001", "1,001"),
        (TEXT, "1e3", "1e3"),
        (TEXT, "0042", "0042"),
        (TEXT, "0042.0", "0042"),
        (TEXT, "\ufeff A\u00a0\u00a0 1\u200b ", "A 1"),
        (TEXT, "A\u20111", "A-1"),
        (TEXT, "\uff11\u0660\u0967", "101"),
        (TEXT, "Mu\u0308ller", "M\u00fcller"),
        (TEXT, "p1", "p1"),
        (TEXT, "\u200b", None),
        (FOLD, "P1", "p1"),
        (FOLD, "STRASSE", "strasse"),
        (FOLD, "stra\u1e9ee", "strasse"),
        (DROP, "0042", "42"),
        (DROP, "000", "0"),
        (DROP, "A0042", "A0042"),
        (NUMBER, "1001.0", "1001"),
        (NUMBER, "1001.", "1001"),
        (NUMBER, "001001", "1001"),
        (NUMBER, "1,001", "1001"),
        (NUMBER, "1 001 002", "1001002"),
        (NUMBER, "1,01", None),
        (NUMBER, "1e3", "1000"),
        (NUMBER, "1.001E+3", "1001"),
        (NUMBER, "1e99", None),
        (NUMBER, "1001.5", None),
        (NUMBER, "-7", "-7"),
        (NUMBER, "90071992547409931234", "90071992547409931234"),
        (NUMBER, "p1", None),
        (UUID, "{550E8400-E29B-41D4-A716-446655440000}", HEX),
        (UUID, "urn:uuid:550e8400-e29b-41d4-a716-446655440000", HEX),
        (UUID, HEX, HEX),
        (UUID, "550e8400", None),
        (AS_WRITTEN, "1001.0", "1001.0"),
    ],
)
def test_each_spelling_has_its_canonical_form(form, written, read):
    assert one(written, form) == read


@pytest.mark.parametrize(
    "written",
    ["0042", "42", "42.0", " 42 ", "'42'", '"42"', "4-2", "\uff14\uff12", "\u0664\u0662", "4\u200b2", "42,0"],
)
def test_a_withdrawal_so_written_means_the_patient(written):
    meant = readings(pl.DataFrame({"patient": [written]}), TEXT)["loose"].to_list()
    assert "42" in meant


def test_exponents_are_read_loosely_too():
    assert "1001" in readings(pl.DataFrame({"patient": ["1.001E3"]}), TEXT)["loose"].to_list()


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(st.lists(SPELLINGS | st.none(), max_size=8))
def test_forms_are_idempotent_row_by_row_and_never_raise(texts):
    for form in ALL:
        together = canonical_texts(series(texts), form)
        assert together.to_list() == [one(text, form) for text in texts]
        assert canonical_texts(together, form).to_list() == together.to_list()
        loose = loose_texts(together)
        assert loose.to_list() == [loose_texts(together[i : i + 1]).item() for i in range(len(texts))]
        readings(pl.DataFrame({"patient": series(texts)}), form)


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(SPELLINGS, SPELLINGS)
def test_what_is_one_patient_strictly_is_one_loosely(first, second):
    for form in ALL:
        one_form = canonical_texts(series([first, second]), form)
        loose = [
            set(readings(pl.DataFrame({"patient": [text]}, {"patient": pl.String}), form)["loose"])
            for text in one_form.to_list()
        ]
        if one_form[0] is not None and one_form[0] == one_form[1]:
            assert loose[0] == loose[1]
        written = readings(pl.DataFrame({"patient": [first]}), form)["loose"].to_list()
        # A patient's own spelling always means that patient.
        assert one_form[0] is None or not loose[0] or loose[0] & set(written)


def test_every_single_character_is_stable():
    every = series(chr(c) for c in range(1, 0x30000) if not 0xD800 <= c < 0xE000)
    for form in (FOLD, NUMBER, UUID):
        once = canonical_texts("1" + every, form)
        assert canonical_texts(once, form).equals(once)


def test_the_section_says_column_and_form_or_what_is_wrong():
    found = patient_from_section(Section({"column": "pat_no", "form": "number"}, "patient"))
    assert (found.column, found.form) == ("pat_no", NUMBER)
    for wrong, word in (
        ({}, "column"),
        ({"column": "a", "form": "texts"}, "text, number, uuid"),
        ({"column": "a", "form": "uuid", "case": "fold"}, "form: text"),
        ({"column": "a", "colum": "b"}, "did you mean"),
    ):
        with pytest.raises(ConfigurationError, match=word):
            patient_from_section(Section(wrong, "patient"))
