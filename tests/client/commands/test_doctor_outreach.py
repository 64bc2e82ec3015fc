"""``doctor`` looks at the tables in which triggers look, and at who is enrolled; no fault there stops a study."""

import json
from collections.abc import Callable

import pytest

from tests.client.outreach.decide.outreach_home import visit, write_table
from tests.client.small_hospital import Hospital
from wardround.client.main import main

SECRET = "P-7"


def told(hospital: Hospital, capsys: pytest.CaptureFixture[str], topic: str) -> list[tuple[str, str, str]]:
    main(["doctor", "--home", str(hospital.folder), "--json"])
    said = capsys.readouterr().out
    assert SECRET not in said
    return [(one["state"], one["text"], one["remedy"]) for one in json.loads(said) if one["topic"] == topic]


def rows(table: str, *more: str) -> Callable[[Hospital], None]:
    def change(hospital: Hospital) -> None:
        path = hospital.folder / f"{table}.csv"
        path.write_text(path.read_text() + "\n".join([*more, ""]))

    return change


def settings(old: str, new: str) -> Callable[[Hospital], None]:
    def change(hospital: Hospital) -> None:
        path = hospital.folder / "outreach.yaml"
        path.write_text(path.read_text().replace(old, new))

    return change


def teams(*more: str) -> Callable[[Hospital], None]:
    def change(hospital: Hospital) -> None:
        path = hospital.folder / "hospital.yaml"
        path.write_text(
            path.read_text().replace("tables:\n", "tables:\n  care_teams: {path: teams.csv}\n", 1)
        )
        write_table(hospital.folder, "teams", "patient,professional,channel,address", more)

    return change


FAULTS: dict[str, tuple[Callable[[Hospital], None], str, str]] = {
    "a status that nobody knows": (rows("appointments", f"{SECRET},{visit()},geplant"), "1 rows", "values.status"),
    "a date that cannot be read": (rows("appointments", f"{SECRET},soon,booked"), "cannot be read", "format.dates"),
    "a row that names nobody": (rows("appointments", f",{visit()},booked"), "name no patient", ".patient"),
    "an open quote": (rows("appointments", f'{SECRET},"{visit()},booked'), "are damaged", "quotes"),
    "a missing column": (
        lambda h: write_table(h.folder, "appointments", "patient,starts_at", [f"{SECRET},{visit()}"]),
        "status", "nothing is proposed",
    ),
    "no table at all": (lambda h: (h.folder / "appointments.csv").unlink(), "appointments", "nothing is proposed"),
    "a trigger without its table": (settings("when: booked", "when: due"), "recalls", "outreach check"),
    "a trigger without its module": (settings("[visit]", "[visits]"), "no such module", "outreach check"),
    "two addresses": (
        teams(f"{SECRET},Dr Snow,sms,+15550200001", "P-2,Dr Snow,sms,+15550200002"),
        "several addresses", "keep one",
    ),
    "a channel that nobody knows": (teams(f"{SECRET},Dr Snow,fax,1"), "channel that is not known", "values.channel"),
}  # fmt: skip


@pytest.mark.parametrize("how", FAULTS, ids=lambda how: how.replace(" ", "-"))
def test_doctor_tells_of_rows_that_make_nothing_due(
    outreach: Hospital, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    before = told(outreach, capsys, "triggers")
    assert {state for state, _, _ in before} == {"ok"}
    change, text, remedy = FAULTS[how]
    change(outreach)
    found = [one for one in told(outreach, capsys, "triggers") if one[0] == "warn"]
    assert len(found) == 1, found
    assert text in found[0][1]
    assert remedy in f"{found[0][1]} {found[0][2]}"


def test_doctor_tells_of_people_who_could_be_one_and_of_too_few(
    outreach: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    path = outreach.folder / "people.yaml"
    whole = path.read_text()
    assert [one[0] for one in told(outreach, capsys, "people")] == ["ok"]
    for text, what in (
        (whole + "  twin: {name: Grace Hoper, roles: [clinician]}\n", "could be one person"),
        ("people:\n  grace: {name: Grace Hopper, roles: [clinician, approver]}\n", "two people"),
        (whole.replace("clinician", "communications"), "a clinician"),
        (whole.replace(", approver", ""), "approve a text"),
    ):
        path.write_text(text)
        ((state, said, _),) = told(outreach, capsys, "people")
        assert (state, what in said) == ("warn", True), said
