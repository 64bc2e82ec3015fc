"""``outreach export``: what people approved, looked at again as it leaves, to the policy's recipients, once each."""

import csv
import json
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.client.outreach.decide.outreach_home import (
    GRACE,
    IDA,
    POLICY,
    Run,
    approve_content,
    patient,
    propose,
    record_recall,
    say_chosen_by,
    states,
    text_of,
    visit,
    write_table,
)
from tests.client.small_hospital import Hospital
from tests.http_server import Quiet, serving
from wardround.client.outreach.decide import files_out
from wardround.client.outreach.decide.outbox import Outbox
from wardround.client.outreach.journal.journal import open_journal

AB, CD, EF = "ab" * 32, "cd" * 32, "ef" * 32
TEXTS = ("export", "texts", "--person", "Grace Hopper")


@pytest.fixture
def approved(outreach: Hospital, run_outreach: Run) -> Hospital:
    """The hospital after two people approved twelve messages."""
    for person in (GRACE, IDA):
        assert run_outreach("approve", "--trigger", "unconfirmed-visit", "--yes", *person)[0] == 0
    return outreach


def sent(hospital: Hospital, folder: str = "texts") -> list[dict[str, str]]:
    """Give all rows of all files that left."""
    return [row for path in sorted((hospital.folder / folder).glob("outreach-*.csv")) for row in _rows(path)]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_was_approved_leaves_once_with_its_patients_own_details(
    approved: Hospital, run_outreach: Run
) -> None:
    code, said, error = run_outreach(*TEXTS)
    assert code == 0, error
    assert (said["sent"], said["void"], said["kept"]) == (12, {}, {})
    rows = sent(approved)
    assert {row["patient"] for row in rows} == {patient(number) for number in range(1, 13)}
    assert rows[0]["address"] == "+15550100001"
    assert rows[0]["text"].startswith("Hello Mia,\nyou have a visit on 20")
    assert states(approved) == {"exported": 12}
    assert [path.stat().st_mode & 0o007 for path in (approved.folder / "texts").iterdir()] == [0]
    assert run_outreach(*TEXTS)[1]["sent"] == 0
    assert len(sent(approved)) == 12


def test_nothing_leaves_without_an_approval_or_to_another_recipient(
    outreach: Hospital, run_outreach: Run
) -> None:
    run_outreach("approve", "--module", "visit.en", "--yes", *GRACE)  # one of two people
    assert run_outreach(*TEXTS)[1]["sent"] == 0
    code, _, error = run_outreach("export", "elsewhere", "--person", "Grace Hopper")
    assert code == 2
    assert "there is texts, records" in error
    assert run_outreach("export", "texts", "--person", "Root")[0] == 2
    assert list((outreach.folder / "texts").iterdir()) == []


def append(hospital: Hospital, table: str, row: str) -> None:
    path = hospital.folder / f"{table}.csv"
    path.write_text(path.read_text() + row + "\n")


def replace(hospital: Hospital, table: str, old: str, new: str) -> None:
    path = hospital.folder / f"{table}.csv"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def change_text(hospital: Hospital) -> None:
    (hospital.folder / "content/visit.en.txt").write_text(
        text_of(parts={"core": "Other. Reply STOP to stop."})
    )


def change_and_approve(hospital: Hospital) -> None:
    change_text(hospital)
    approve_content(hospital)


def lapse(hospital: Hospital) -> None:
    text = (hospital.folder / "content/visit.en.txt").read_text().replace("2099-12-31", "2024-12-31")
    (hospital.folder / "content/visit.en.txt").write_text(text)


def withdraw(hospital: Hospital) -> None:
    replace(
        hospital, "consents", "P-1,purpose,reach,2024-01-01,,", "P-1,purpose,reach,2024-01-01,2024-02-01,"
    )


def veto(hospital: Hospital) -> None:
    path = hospital.folder / "hospital.yaml"
    path.write_text(path.read_text().replace("tables:\n", "tables:\n  vetoes: {path: vetoes.csv}\n", 1))
    (hospital.folder / "vetoes.csv").write_text(
        "patient,reason,starts_at,ends_at\np 1,clinician,2024-01-01,\n"
    )


def visit_becomes(status: str, hour: str = "09:30") -> Any:
    new = f"P-1,{visit().replace('09:30', hour)},{status}"
    return lambda hospital: replace(hospital, "appointments", f"P-1,{visit()},booked", new)


def name_becomes(name: str) -> Any:
    return lambda hospital: replace(hospital, "details", "P-1,first_name,Mia", f"P-1,first_name,{name}")


SINCE: dict[str, tuple[Any, int, str]] = {
    "consent withdrawn": (withdraw, 11, "contact"),
    "a veto": (veto, 11, "veto"),
    "the visit was cancelled": (visit_becomes("cancelled"), 11, "trigger"),
    "the visit was moved": (visit_becomes("booked", "10:00"), 11, "trigger"),
    "the address is gone": (lambda h: replace(h, "addresses", "P-1,sms", "P-1,email"), 11, "address"),
    "no name": (name_becomes(""), 11, "placeholder"),
    "a name that is a link": (name_becomes("evil.example"), 11, "placeholder"),
    "another text": (change_text, 0, "content"),
    "another text, approved": (change_and_approve, 0, "content"),
    "a lapsed text": (lapse, 0, "content"),
}


@pytest.mark.parametrize("how", SINCE, ids=lambda how: how.replace(" ", "-"))
def test_what_changed_since_it_was_approved_does_not_leave(
    approved: Hospital, run_outreach: Run, how: str
) -> None:
    change, left, rule = SINCE[how]
    change(approved)
    code, said, error = run_outreach(*TEXTS)
    assert code == 0, error
    assert (said["sent"], said["void"]) == (left, {rule: 12 - left})
    assert len(sent(approved)) == left
    assert not any(row["patient"] == "P-1" for row in sent(approved))


@pytest.mark.parametrize("revoked", [False, True])
def test_marketing_leaves_while_its_authorisation_stands(
    outreach: Hospital, run_outreach: Run, revoked: bool
) -> None:
    hospital = outreach.folder / "hospital.yaml"
    mapped = "tables:\n  authorisations: {path: authorisations.csv}\n"
    hospital.write_text(hospital.read_text().replace("tables:\n", mapped, 1))
    head = "patient,paid_by,topic,signed_at,revoked_at,expires_at"
    rows = [f"{patient(one)},Acme,screening,2024-01-01,,2099-01-01" for one in (1, 2)]
    write_table(outreach.folder, "authorisations", head, rows)
    (outreach.folder / "content/visit.en.txt").write_text(
        text_of(message_class="marketing", paid_by="Acme", payment="more")
    )
    approve_content(outreach)
    run_outreach("refuse", "--trigger", "unconfirmed-visit", *GRACE)
    with sqlite3.connect(outreach.folder / "outreach.sqlite") as db:
        db.execute("DELETE FROM proposals WHERE state = 'refused'")
    db.close()
    propose(outreach, *range(1, 13))
    for person in (GRACE, IDA):
        assert run_outreach("approve", "--trigger", "unconfirmed-visit", "--yes", *person)[0] == 0
    if revoked:
        append(outreach, "authorisations", "p 1,,,,2024-05-01,")
    code, said, error = run_outreach(*TEXTS)
    assert (code, said["sent"], said["void"]) == (0, 2 - revoked, {"authorisation": 10 + revoked}), error
    assert {row["patient"] for row in sent(outreach)} == {patient(one) for one in (1, 2)[revoked:]}


TEAM = {
    "nothing changed": (lambda h: None, "sent"),
    "no patient is due": (lambda h: replace(h, "appointments", ",booked", ",confirmed"), "trigger"),
    "no patient of theirs": (lambda h: replace(h, "care_teams", "P-1,", "P-99,"), "trigger"),
    "a veto": (lambda h: veto(h), "trigger"),
    "another address as well": (lambda h: append(h, "care_teams", "P-2,Dr Snow,sms,+15550200002"), "address"),
    "the same address in a second row": (
        lambda h: append(h, "care_teams", "P-2,Dr Snow,sms,+15550200001"),
        "sent",
    ),
    "another channel": (lambda h: replace(h, "care_teams", ",sms,", ",email,"), "address"),
    "gone": (lambda h: replace(h, "care_teams", "Dr Snow", "Dr Koch"), "address"),
    "at night": (lambda h: _close_hours(h), "hours"),
}


def _close_hours(hospital: Hospital) -> None:
    """Let now be outside of the hours, as at night."""
    hour = datetime.now(UTC).hour
    hours = "{first: 0, last: 1}" if hour >= 2 else "{first: 22, last: 24}"
    path = hospital.folder / "outreach.yaml"
    path.write_text(path.read_text().replace("{first: 0, last: 24}", hours))


def test_nothing_leaves_for_whom_it_is_night_on_their_own_clock(
    approved: Hospital, run_outreach: Run
) -> None:
    hour, path = datetime.now(UTC).hour, approved.folder / "outreach.yaml"
    day = f"{{first: {max(hour - 1, 0)}, last: {min(hour + 2, 24)}}}"
    path.write_text(path.read_text().replace("{first: 0, last: 24}", day))
    hospital = approved.folder / "hospital.yaml"
    hospital.write_text(
        hospital.read_text().replace("tables:\n", "tables:\n  preferences: {path: preferences.csv}\n", 1)
    )
    far_away = [f"{patient(3)},timezone,Pacific/Funafuti,,2024-01-01"]  # twelve hours from UTC, all year
    write_table(approved.folder, "preferences", "patient,kind,value,wanted,said_at", far_away)
    code, said, error = run_outreach(*TEXTS)
    assert (code, said["sent"], said["kept"]) == (0, 11, {"hours": 1}), error
    assert patient(3) not in {row["patient"] for row in sent(approved)}


@pytest.mark.parametrize("how", TEAM, ids=lambda how: how.replace(" ", "-"))
def test_a_professionals_message_leaves_while_a_patient_of_theirs_is_due_and_to_their_one_address(
    outreach: Hospital, run_outreach: Run, how: str
) -> None:
    hospital = outreach.folder / "hospital.yaml"
    hospital.write_text(
        hospital.read_text().replace("tables:\n", "tables:\n  care_teams: {path: care_teams.csv}\n", 1)
    )
    write_table(
        outreach.folder,
        "care_teams",
        "patient,professional,channel,address",
        ["P-1,Dr Snow,sms,+15550200001"],
    )
    settings = outreach.folder / "outreach.yaml"
    settings.write_text(settings.read_text() + "  team: {to: professional, when: booked, topic: screening, "
                        "days: [0, 7], standard: [visit]}\n")  # fmt: skip
    (outreach.folder / "content/visit.en.txt").write_text(
        text_of(parts={"core": "A patient of yours is due. Reply STOP to stop."})
    )
    approve_content(outreach)
    assert run_outreach("propose")[1]["by_trigger"]["team"]["proposed"] == 1
    with open_journal(outreach.folder) as journal:
        (mine,) = (one.id for one in journal.proposals(("proposed",)) if one.recipient == "professional")
    for person in (GRACE, IDA):
        assert run_outreach("approve", mine, "--yes", *person)[0] == 0
    change, becomes = TEAM[how]
    change(outreach)
    code, said, error = run_outreach(*TEXTS)
    assert code == 0, error
    if becomes == "sent":
        assert (said["sent"], sent(outreach)[0]["address"]) == (1, "+15550200001")
    else:
        assert (said["sent"], {**said["void"], **said["kept"]}) == (0, {becomes: 1})


def test_who_replied_stop_between_approval_and_export_gets_nothing(
    approved: Hospital, run_outreach: Run
) -> None:
    (approved.folder / "in.csv").write_text("kind,patient,text\nreply,P-1,Stop\n")
    assert run_outreach("inbound", approved.folder / "in.csv")[0] == 0
    assert run_outreach(*TEXTS)[1]["sent"] == 11
    assert not any(row["patient"] == "P-1" for row in sent(approved))


@pytest.mark.parametrize("what", ["hold", "inbound"])
def test_what_is_held_or_withdrawn_while_a_file_is_made_is_not_in_it(
    approved: Hospital, run_outreach: Run, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    acts = {"hold": ("hold", 1, *GRACE), "inbound": ("inbound", "--patient", "P-1", *GRACE)}
    reserve = Outbox.reserve

    def meanwhile(*given: Any) -> None:
        reserve(*given)
        monkeypatch.setattr(Outbox, "reserve", reserve)
        assert run_outreach(*acts[what])[0] == 0

    monkeypatch.setattr(Outbox, "reserve", meanwhile)
    code, said, error = run_outreach(*TEXTS)
    assert (code, said["sent"], len(said["files"])) == (0, 11, 1), error
    assert {row["patient"] for row in sent(approved)} == {patient(number) for number in range(2, 13)}


@pytest.mark.parametrize("recipient", ["texts", "records"])
def test_a_file_that_a_crash_kept_back_reaches_patients_where_they_are_now(
    approved: Hospital, run_outreach: Run, monkeypatch: pytest.MonkeyPatch, recipient: str
) -> None:
    command = ("export", recipient, "--person", "Grace Hopper")
    with monkeypatch.context() as patched:
        patched.setattr("wardround.client.outreach.decide.files_out._publish", lambda *given: None)
        run_outreach(*command)
    append(approved, "addresses", "P-1,sms,+15550109999,2024-06-01")
    assert run_outreach(*command)[1]["sent"] == 12
    left = b"".join(path.read_bytes() for path in (approved.folder / recipient).iterdir())
    assert (b"+15550109999" in left, b"+15550100001" in left) == (True, False)


@pytest.fixture
def staged(approved: Hospital, run_outreach: Run, monkeypatch: pytest.MonkeyPatch) -> Hospital:
    """The hospital after a crash, when a file was staged and had not got its name."""
    with monkeypatch.context() as patched:
        patched.setattr("wardround.client.outreach.decide.files_out._publish", lambda *given: None)
        run_outreach(*TEXTS)
    assert states(approved) == {"exporting": 12}
    return approved


def test_who_shares_the_folder_has_no_key_opened_by_a_link(
    approved: Hospital, run_outreach: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was staged got its mode by its name: a link there made a key readable, by the group and for good."""
    key, published = approved.folder / "keys/patients.key", files_out._publish

    def exchanged(*given: Any) -> None:
        [staged] = (approved.folder / "texts").glob(".outreach-*.staged")
        staged.unlink()
        staged.symlink_to(key)
        published(*given)

    monkeypatch.setattr(files_out, "_publish", exchanged)
    run_outreach(*TEXTS)
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_senders_group_can_read_what_left_whatever_the_umask_is(
    approved: Hospital, run_outreach: Run
) -> None:
    before = os.umask(0o077)
    try:
        assert run_outreach(*TEXTS)[1]["sent"] == 12
    finally:
        os.umask(before)
    [left] = (approved.folder / "texts").iterdir()
    assert left.stat().st_mode & 0o777 == 0o640


def test_another_recipient_of_the_same_folder_loses_no_file_that_a_crash_kept_back(
    staged: Hospital, run_outreach: Run
) -> None:
    staged.write_policy(outreach=POLICY.replace("folder: records", "folder: texts"))
    assert run_outreach("export", "records", "--person", "Ida Rhodes")[1]["sent"] == 0
    assert run_outreach(*TEXTS)[1]["sent"] == 12
    assert len(sent(staged)) == 12


def test_a_stop_that_a_crash_ends_early_leaves_nothing_counted_as_sent(
    staged: Hospital, run_outreach: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("wardround.client.outreach.journal.journal.Journal.move", crash)
        assert run_outreach("stop", *GRACE)[0] == 130
    assert run_outreach(*TEXTS)[1]["sent"] == 0
    assert states(staged) == {"approved": 12}
    assert list((staged.folder / "texts").iterdir()) == []


def test_who_no_longer_wants_to_be_personalised_gets_nothing_that_a_model_chose(
    outreach: Hospital, run_outreach: Run
) -> None:
    """Between approval and export; it is void, so that the next ``propose`` makes the standard message."""
    personal = {"standard": "other.en", "stands_on": '{"personalise": true}'}
    with sqlite3.connect(outreach.folder / "outreach.sqlite") as db:
        db.execute("UPDATE proposals SET standard = :standard, stands_on = :stands_on WHERE id < 3", personal)
    db.close()
    append(outreach, "consents", "P-1,purpose,choose,2024-01-01,,\nP-2,purpose,choose,2024-01-01,,")
    for person in (GRACE, IDA):
        assert run_outreach("approve", "--trigger", "unconfirmed-visit", "--yes", *person)[0] == 0
    assert run_outreach("inbound", "--patient", "P-1", "--consent", "personalise", *GRACE)[0] == 0
    code, said, error = run_outreach(*TEXTS)
    assert (code, said["sent"], said["void"]) == (0, 11, {"personalise": 1}), error
    assert not any(row["patient"] == "P-1" for row in sent(outreach))


@pytest.mark.parametrize(("model", "terms"), [(CD, AB), (AB, EF)])
def test_what_a_recalled_model_chose_does_not_leave(
    outreach: Hospital, run_outreach: Run, model: str, terms: str
) -> None:
    """By the digest of its file, or as another file of the same study: signed anew with an exception, say."""
    say_chosen_by(outreach, CD, EF, 1, 2)
    say_chosen_by(outreach, "12" * 32, "34" * 32, 3)
    for person in (GRACE, IDA):
        assert run_outreach("approve", "--trigger", "unconfirmed-visit", "--yes", *person)[0] == 0
    record_recall(outreach, model, terms)
    code, done, error = run_outreach(*TEXTS)
    assert (code, done["sent"], done["void"]) == (0, 10, {"recalled": 2}), error


def test_a_recall_that_does_not_read_holds_back_what_any_model_chose_and_no_standard_message(
    outreach: Hospital, run_outreach: Run
) -> None:
    say_chosen_by(outreach, CD, EF, 1)
    for person in (GRACE, IDA):
        assert run_outreach("approve", "--trigger", "unconfirmed-visit", "--yes", *person)[0] == 0
    record_recall(outreach, AB, AB)
    [kept] = (outreach.folder / "recalls").iterdir()
    kept.write_bytes(kept.read_bytes()[:-10])
    assert run_outreach(*TEXTS)[1]["void"] == {"recalled": 1}
    assert states(outreach) == {"exported": 11, "void": 1}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("topic: screening", "topic: oncology"),
        ("standard: [visit]", "standard: [other]"),
        ("  unconfirmed-visit", "  new"),
    ],
)
def test_what_outreach_yaml_no_longer_declares_does_not_leave(
    approved: Hospital, run_outreach: Run, before: str, after: str
) -> None:
    settings = approved.folder / "outreach.yaml"
    settings.write_text(settings.read_text().replace(before, after))
    code, said, error = run_outreach(*TEXTS)
    assert (code, said["sent"], said["void"]) == (0, 0, {"trigger": 12}), error


def test_nobody_gets_more_than_the_caps_allow(approved: Hospital, run_outreach: Run) -> None:
    propose(approved, 1, occasion=visit().replace(" ", "T").replace("09:30", "09:31"), trigger="another")
    settings = approved.folder / "outreach.yaml"
    settings.write_text(
        settings.read_text()
        + settings.read_text().split("triggers:\n")[1].replace("unconfirmed-visit", "another")
    )
    append(approved, "appointments", f"P-1,{visit().replace('09:30', '09:31')},booked")
    with open_journal(approved.folder) as journal:
        new = [one.id for one in journal.proposals(("proposed",))]
    for person in (GRACE, IDA):
        run_outreach("approve", *new, "--yes", *person)
    run_outreach(*TEXTS)
    assert sum(row["patient"] == "P-1" for row in sent(approved)) == 1


def test_a_journal_that_was_changed_or_put_back_sends_nothing_again(
    approved: Hospital, run_outreach: Run
) -> None:
    before = (approved.folder / "outreach.sqlite").read_bytes()
    assert run_outreach(*TEXTS)[1]["sent"] == 12
    (approved.folder / "outreach.sqlite").write_bytes(before)
    code, said, error = run_outreach(*TEXTS)
    assert (code, said["sent"], said["kept"]) == (2, 0, {"journal": 12})
    assert "the journal was put back" in error
    assert len(sent(approved)) == 12


def test_a_state_that_was_set_back_in_the_journal_sends_nothing_again(
    approved: Hospital, run_outreach: Run
) -> None:
    run_outreach(*TEXTS)
    with sqlite3.connect(approved.folder / "outreach.sqlite") as db:
        db.execute("UPDATE proposals SET state = 'approved'")
    db.close()
    code, said, _ = run_outreach("export", "records", "--person", "Grace Hopper")
    assert (code, said["sent"], said["kept"]) == (2, 0, {"journal": 12})


CHANGED = {
    "approved": ("UPDATE proposals SET state = 'approved'", "UPDATE exports SET state = 'staged'"),
    "exporting": ("UPDATE proposals SET state = 'exporting'", "UPDATE exports SET state = 'staged'"),
    "no exports": ("UPDATE proposals SET state = 'approved'", "DELETE FROM exports"),
    "another recipient": (
        "UPDATE proposals SET state = 'exporting'",
        "UPDATE exports SET state = 'staged', recipient = 'records'",
    ),
}


@pytest.mark.parametrize("again", ["texts", "records", "mailer"])
@pytest.mark.parametrize("how", CHANGED)
def test_no_change_of_the_journal_and_the_folder_sends_anything_again(
    approved: Hospital, run_outreach: Run, mailer: Any, how: str, again: str
) -> None:
    """Whoever writes both places of the journal, and puts the file back as it was staged, has not the key."""
    got, _, name_in_policy = mailer
    name_in_policy(keeps_keys=True)
    name = run_outreach(*TEXTS)[1]["files"][0]
    (approved.folder / "texts" / name).rename(approved.folder / "texts" / f".{name}.texts.staged")
    with sqlite3.connect(approved.folder / "outreach.sqlite") as db:
        for statement in CHANGED[how]:
            db.execute(statement)
    db.close()
    said = run_outreach("export", again, "--person", "Grace Hopper")[1]
    assert (said["sent"], said["files"], got, sent(approved)) == (0, [], [], [])
    assert not list((approved.folder / "records").iterdir())


def test_what_the_mailer_took_is_never_posted_again(
    approved: Hospital, run_outreach: Run, mailer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    got, answers, name_in_policy = mailer
    name_in_policy(keeps_keys=True)
    monkeypatch.setattr("wardround.client.outreach.decide.posts_out.BATCH", 5)
    answers += [200] * 7 + [404] + [200] * 2 + [500]
    assert run_outreach("export", "mailer", "--person", "Grace Hopper")[1]["sent"] == 9
    for state in ("approved", "exporting"):
        with sqlite3.connect(approved.folder / "outreach.sqlite") as db:
            db.execute("UPDATE proposals SET state = ?", (state,))
            db.execute("UPDATE exports SET state = 'staged'")
        db.close()
        run_outreach("export", "mailer", "--person", "Grace Hopper")
    assert len(got) <= 9 + 1 + 2 + 2  # the refused one, the doubtful one, and those not tried, once more
    assert all(got.count(key) == 1 for key in got[:7])


def test_a_folder_in_the_place_of_a_staged_file_keeps_nothing_from_leaving(
    approved: Hospital, run_outreach: Run
) -> None:
    """The sender writes in the recipient's folder too."""
    (approved.folder / "texts" / ".outreach-0123456789abcdef.csv.texts.staged").mkdir()
    code, said, error = run_outreach(*TEXTS)
    assert code == 0, error
    assert said["sent"] == len(sent(approved)) == 12


def test_a_file_whose_folder_changed_is_in_doubt_and_not_lost(staged: Hospital, run_outreach: Run) -> None:
    """The recipient's folder is another one when the export that a crash cut short is ended."""
    (staged.folder / "moved").mkdir()
    staged.write_policy(outreach=POLICY.replace("folder: texts", "folder: moved"))
    code, said, error = run_outreach(*TEXTS)
    assert (code, said["sent"], said["in_doubt"], said["files"]) == (2, 0, 12, [])
    assert "--settle" in error
    assert states(staged) == {"exporting": 12}
    staged.write_policy(outreach=POLICY)
    assert run_outreach(*TEXTS)[1]["sent"] == 12
    assert len(sent(staged)) == 12


def test_a_file_that_a_sender_took_in_the_meantime_is_settled_by_a_person(
    staged: Hospital, run_outreach: Run
) -> None:
    for path in (staged.folder / "texts").iterdir():
        path.unlink()
    assert run_outreach(*TEXTS)[1]["in_doubt"] == 12
    assert run_outreach(*TEXTS, "--settle", "sent", "--reason", "they have it")[1]["settled"] == 12
    assert run_outreach(*TEXTS)[1]["sent"] == 0
    assert states(staged) == {"exported": 12}


def test_a_folder_that_goes_while_a_file_is_made_is_told(
    approved: Hospital, run_outreach: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = Outbox.sign

    def meanwhile(outbox: Outbox, kind: str, *given: Any) -> None:
        sign(outbox, kind, *given)
        if kind == "export":
            (approved.folder / "texts").rename(approved.folder / "elsewhere")

    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "sign", meanwhile)
        code, _, error = run_outreach(*TEXTS)
    assert (code, "make it" in error or "put it back" in error) == (2, True), error
    (approved.folder / "elsewhere").rename(approved.folder / "texts")
    assert run_outreach(*TEXTS)[1]["sent"] == 12
    assert len(sent(approved)) == 12


@pytest.mark.parametrize("column", ["token", "module_digest", "channel", "send_before", "topic"])
def test_a_row_that_was_changed_in_the_journal_does_not_leave(
    approved: Hospital, run_outreach: Run, column: str
) -> None:
    """Whoever can write the journal, and has not the hospital's key, sends nobody anything else."""
    value = {"token": f"'{'f' * 32}'", "send_before": "'2099-01-01T00:00:00Z'"}.get(
        column, f"{column} || 'x'"
    )
    with sqlite3.connect(approved.folder / "outreach.sqlite") as db:
        db.execute(f"UPDATE proposals SET {column} = {value} WHERE id = 1")  # noqa: S608 (our own words)
    db.close()
    assert run_outreach(*TEXTS)[1]["sent"] == 11
    assert not any(row["patient"] == "P-1" for row in sent(approved))


def test_stop_voids_whatever_is_not_exported(approved: Hospital, run_outreach: Run) -> None:
    assert run_outreach("stop", *GRACE)[1]["void"] == 12
    assert run_outreach(*TEXTS)[1]["sent"] == 0
    assert states(approved) == {"void": 12}


def test_a_fhir_file_holds_one_resource_for_each_message(approved: Hospital, run_outreach: Run) -> None:
    code, said, error = run_outreach("export", "records", "--person", "Ida Rhodes")
    assert code == 0, error
    lines = (approved.folder / "records" / said["files"][0]).read_text().splitlines()
    resources = [json.loads(line) for line in lines]
    assert {one["resourceType"] for one in resources} == {"CommunicationRequest"}
    assert {one["subject"]["identifier"]["value"] for one in resources} == {patient(n) for n in range(1, 13)}


def test_about_tells_where_it_went(approved: Hospital, run_outreach: Run) -> None:
    run_outreach(*TEXTS)
    message = run_outreach("about", "P-3", "--person", "Ida Rhodes")[1]["messages"][0]
    assert (message["state"], message["sent_to"]) == ("exported", "texts")
    assert [one["act"] for one in message["decisions"]] == ["approved", "exporting", "exported"]
    assert message["decisions"][0]["person"] == "Grace Hopper and Ida Rhodes"


@pytest.fixture
def mailer(approved: Hospital) -> Any:
    """A sender on this machine that the policy names; ``got`` has the keys of what it took."""
    got: list[str] = []
    answers: list[int] = []

    class Mailer(Quiet):
        def take(self) -> None:
            self.body()
            got.append(self.headers["Idempotency-Key"])
            self.answer(answers.pop(0) if answers else 200)

    with serving(Mailer) as url:

        def name_in_policy(keeps_keys: bool) -> None:
            keeps = str(keeps_keys).lower()
            one = f"mailer: {{form: messenger, url: '{url}/', channels: [sms], keeps_keys: {keeps}}}"
            approved.write_policy(outreach=POLICY.replace("recipients: {", f"recipients: {{{one}, "))

        yield got, answers, name_in_policy


MAILER = ("export", "mailer", "--person", "Grace Hopper")


def test_each_message_is_posted_once(approved: Hospital, run_outreach: Run, mailer: Any) -> None:
    got, _, name_in_policy = mailer
    name_in_policy(keeps_keys=False)
    assert run_outreach(*MAILER)[1]["sent"] == 12
    assert run_outreach(*MAILER)[1]["sent"] == 0
    assert len(got) == len(set(got)) == 12


def test_what_a_sender_refused_is_tried_again_and_what_is_in_doubt_is_not(
    approved: Hospital, run_outreach: Run, mailer: Any
) -> None:
    got, answers, name_in_policy = mailer
    name_in_policy(keeps_keys=False)
    answers += [200, 400, 200, 500]
    code, said, error = run_outreach(*MAILER)
    assert (code, said["sent"], said["kept"], said["in_doubt"]) == (2, 2, {"sender": 1}, 1)
    assert "ask the recipient" in error
    assert states(approved) == {"approved": 9, "exporting": 1, "exported": 2}
    code, said, _ = run_outreach(*MAILER)
    assert (code, said["sent"], said["in_doubt"]) == (2, 9, 1)
    assert [got.count(key) for key in dict.fromkeys(got)] == [
        1,
        2,
        *[1] * 10,
    ]  # the refused one alone came again
    code, said, _ = run_outreach(*MAILER, "--settle", "sent", "--reason", "they have it")
    assert (code, said["settled"]) == (0, 1)
    assert states(approved) == {"exported": 12}


def test_a_sender_that_keeps_keys_is_asked_again_with_the_same_key(
    approved: Hospital, run_outreach: Run, mailer: Any
) -> None:
    got, answers, name_in_policy = mailer
    name_in_policy(keeps_keys=True)
    answers += [503]
    assert run_outreach(*MAILER)[1]["in_doubt"] == 1
    assert run_outreach(*MAILER)[1]["sent"] == 12
    assert len(got) == 13
    assert len(set(got)) == 12
    assert states(approved) == {"exported": 12}


def test_a_slow_sender_gets_nothing_by_what_was_read_long_ago_or_after_the_hours(
    approved: Hospital, run_outreach: Run, mailer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    got, _, name_in_policy = mailer
    name_in_policy(keeps_keys=False)
    seconds = iter(range(0, 10**6, 100))  # the sender's first answer takes minutes
    slow = property(lambda outbox: outbox.now + timedelta(seconds=next(seconds)))
    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "clock", slow)
        code, said, error = run_outreach(*MAILER)
    assert (code, said["sent"], said["kept"]) == (0, 1, {"again": 11}), error
    later = {"clock": property(lambda outbox: outbox.now + timedelta(hours=11)), "fresh": True}
    with monkeypatch.context() as patched:
        for name, value in later.items():
            patched.setattr(Outbox, name, value)
        assert run_outreach(*MAILER)[1]["kept"] == {"hours": 11}
    assert run_outreach(*MAILER)[1]["sent"] == 11
    assert len(got) == len(set(got)) == 12
