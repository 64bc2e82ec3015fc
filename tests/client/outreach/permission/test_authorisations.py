"""What patients signed about marketing: strictly theirs while it holds, and taken back by whatever may mean them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.client.outreach.tables_of_outreach import people_of, tables_of_outreach
from wardround.client.outreach.permission.authorisations import SignedAuthorisations, authorisations_of

NOW = datetime(2026, 12, 10, 9, 30, tzinfo=UTC)
SIGNED = "P1,Acme,visits,2026-02-01,,2027-02-01"


def read(folder: Path, *rows: str) -> SignedAuthorisations:
    source = tables_of_outreach(folder, authorisations="\n".join(rows))
    return authorisations_of(source, people_of("P1", "P2"), NOW)


def test_an_authorisation_is_for_one_patient_payer_and_topic(tmp_path: Path) -> None:
    found = read(tmp_path, SIGNED, "P2,,visits,2026-03-01,,2027-02-01")
    assert found.signed("P1", "ACME ", "Visits") == "2026-02-01"
    assert found.signed("P2", "", "visits") == "2026-03-01"
    for patient, payer, topic in (
        ("P2", "Acme", "visits"), ("P1", "", "visits"), ("P1", "Acme Ltd", "visits"), ("P1", "Acme", "flu"),
        ("P-1", "Acme", "visits"),
    ):  # fmt: skip
        assert not found.signed(patient, payer, topic)
    assert "P1" not in repr(found)


@pytest.mark.parametrize(
    "row",
    [
        "p 1,Acme,visits,2026-02-01,,2027-02-01",  # another spelling grants nothing
        "P1,Acme,visits,,,2027-02-01",
        "P1,Acme,visits,some day,,2027-02-01",
        "P1,Acme,visits,2026-12-11,,2027-02-01",  # not signed yet
        "P1,Acme,visits,2026-02-01,,",  # without an end it is none
        "P1,Acme,visits,2026-02-01,,never",
        "P1,Acme,visits,2026-02-01,,2026-12-10",
        "P1,Acme,,2026-02-01,,2027-02-01",
        "P1,,visits,2026-02-01,,2027-02-01",
        '"P1,Acme,visits,2026-02-01,,2027-02-01',
    ],
)
def test_what_is_in_doubt_authorises_nothing(tmp_path: Path, row: str) -> None:
    assert not read(tmp_path, row).signed("P1", "Acme", "visits")


@pytest.mark.parametrize(
    "row",
    [
        "P1,Acme,visits,2026-02-01,2026-11-01,2027-02-01",
        "p-1,Acme,visits,,2026-11-01,",  # however it is spelt
        "p 1,,,,2026-11-01,",
        "P1,Acne,visits,,2026-11-01,",  # of a payer that they never signed for: all is taken back
        "P1,Acme,flu,,2026-11-01,",
        "P1,Acme,visits,,some day,",
        "P1,Acme,visits,,2027-01-01,",  # dated ahead, it counts at once
        'p1,"open,,',  # a damaged row
    ],
)
def test_a_revocation_counts_in_doubt(tmp_path: Path, row: str) -> None:
    other = "P2,Acme,visits,2026-02-01,,2027-02-01"
    assert read(tmp_path / "without", SIGNED, other).signed("P1", "Acme", "visits")
    found = read(tmp_path / "with", SIGNED, other, row)
    assert (found.signed("P1", "Acme", "visits"), found.signed("P2", "Acme", "visits")) == ("", "2026-02-01")


def test_who_signs_again_later_has_authorised_and_one_payer_is_not_another(tmp_path: Path) -> None:
    again = "P1,Acme,visits,2026-11-02,,2027-02-01"
    assert (
        read(tmp_path / "a", SIGNED, "P1,,,,2026-11-01,", again).signed("P1", "Acme", "visits")
        == "2026-11-02"
    )
    both = read(
        tmp_path / "b", SIGNED, "P1,Beta,visits,2026-02-01,,2027-02-01", "P1,Beta,visits,,2026-11-01,"
    )
    assert (both.signed("P1", "Acme", "visits"), both.signed("P1", "Beta", "visits")) == ("2026-02-01", "")


def test_without_a_table_nobody_authorised_anything(tmp_path: Path) -> None:
    assert not authorisations_of(tables_of_outreach(tmp_path), people_of("P1"), NOW).by_patient
