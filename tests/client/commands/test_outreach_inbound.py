"""``outreach inbound`` and ``about``: who wants no more messages is heard at once, and may ask what is kept."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.client.outreach.decide.outreach_home import GRACE, Run, propose, states
from tests.client.small_hospital import Hospital
from wardround.client.home.home import load_home
from wardround.client.outreach.decide.acts import leaf
from wardround.client.outreach.journal.journal import open_journal


def standing(hospital: Hospital) -> list[tuple[str, str, str, str]]:
    """Give patient, consent, channel and why of what stands."""
    rows = load_home(hospital.folder).withdrawals.standing()
    return [(one.patient, one.consent, one.channel, one.why) for one in rows]


def written(
    folder: Path, *rows: str, head: str = "kind,patient,address,message,channel,text,consent,at"
) -> Path:
    path = folder / "inbound.csv"
    path.write_text("\n".join([head, *rows, ""]))
    return path


def test_stop_bounce_complaint_and_refusal_become_withdrawals_at_once(
    outreach: Hospital, run_outreach: Run
) -> None:
    with open_journal(outreach.folder) as journal:
        message = leaf(next(iter(journal.proposals(ids=[4]))))
    path = written(
        outreach.folder,
        "reply,P-1,,,sms,STOP,,2026-12-01T09:00:00+00:00",
        "reply,,+1 (555) 010-0002,,sms,No me escriban,,",
        "bounce,P-3,,,sms,,,",
        f"bounce,,,{message},,,,",
        "complaint,P-5,,,,,,",
        "refusal,P-6,,,,,learn,",
        "refusal,P-7,,,,,,",
        "reply,P-8,,,sms,I must cancel my visit,,",
    )
    code, said, error = run_outreach("inbound", path)
    assert code == 0, error
    assert said["withdrawals"] == 7
    assert said["lines_for_a_person"] == [9]
    assert standing(outreach) == [
        ("P-1", "contact", "", "stop"),
        ("P-2", "contact", "", "stop"),
        ("P-3", "contact", "sms", "bounce"),
        ("P-4", "contact", "sms", "bounce"),
        ("P-5", "contact", "", "complaint"),
        ("P-6", "learn", "", "refusal"),
        ("P-7", "all", "", "refusal"),
    ]
    assert states(outreach) == {"proposed": 8}  # the journal forgot those who want no contact
    assert run_outreach("inbound", path)[1]["withdrawals"] == 0


def test_json_lines_are_read_as_csv_is(outreach: Hospital, run_outreach: Run) -> None:
    path = outreach.folder / "inbound.jsonl"
    rows = [
        {"kind": "reply", "patient": "P-1", "text": "alto"},
        {"kind": "bounce", "patient": "P-2", "channel": "sms"},
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert run_outreach("inbound", path)[0] == 0
    assert [one[0] for one in standing(outreach)] == ["P-1", "P-2"]


def test_what_cannot_be_understood_keeps_no_other_row_from_being_heard(
    outreach: Hospital, run_outreach: Run
) -> None:
    path = outreach.folder / "inbound.jsonl"
    rows = [b"\xff\xfe", b"[1]", b'{"kind": "delivered", "patient": "P-1"}', b'{"kind": "reply", "text": "stop"}',
            b'{"kind": "reply", "patient": "P-999", "text": "stop", "at": "never"}',
            b'{"kind": "reply", "address": "+49 30 000000", "text": "stop"}',
            b'{"kind": "complaint", "patient": "\x1b[2JP-2\\u202e"}', b"{" * 99]  # fmt: skip
    path.write_bytes(b"\n".join(rows))
    code, said, error = run_outreach("inbound", path)
    assert code == 2
    assert "lines of inbound.jsonl" in error
    assert said["lines_not_understood"] == [1, 2, 3, 4, 7, 8]
    assert said["lines_of_nobody"] == [5, 6]
    assert standing(outreach) == [("P-999", "contact", "", "stop")]


BEFORE_AND_AFTER = {
    "a quote that nobody closes": b'reply,P-1,,"I said STOP\n',
    "a quote behind a quote": b'reply,P-1,,"STOP" now"\n',
    "cp1252": "reply,P-1,,arr\u00eat\n".encode("cp1252"),
    "two lines": b'reply,P-1,,"Please,\nstop"\n',
    "a lone carriage return": b"reply,P-1,,sto\rp\n",
    "an end of Windows": b"reply,P-1,,stop\r\n",
}


@pytest.mark.parametrize("how", BEFORE_AND_AFTER, ids=lambda how: how.replace(" ", "-"))
def test_no_row_swallows_the_rows_around_it(outreach: Hospital, run_outreach: Run, how: str) -> None:
    path = outreach.folder / "inbound.csv"
    around = "reply,P-2,,arr\u00eat\n".encode(), b'reply,P-3,,"stop"\n'
    path.write_bytes(b"kind,patient,address,text\n" + BEFORE_AND_AFTER[how].join(around))
    said = run_outreach("inbound", path)[1]
    assert {"P-2", "P-3"} <= {one[0] for one in standing(outreach)}
    assert "P-1" in {one[0] for one in standing(outreach)} or said["lines_not_understood"] == [3]


def test_an_identifier_that_nobody_has_is_told_and_counts_all_the_same(
    outreach: Hospital, run_outreach: Run
) -> None:
    """A column was swapped, or a letter is wrong: the patient who wrote must not be lost without a word."""
    path = written(
        outreach.folder, "reply,+15550100001,P-1,,,stop,,", "reply,p 2,,,,stop,,", "reply,P-999,,,,stop,,"
    )
    code, said, error = run_outreach("inbound", path)
    assert (code, said["lines_of_nobody"]) == (2, [2, 4]), error
    assert [one[0] for one in standing(outreach)] == ["+15550100001", "p 2", "P-999"]


def test_everybody_who_has_an_address_is_meant_by_it(outreach: Hospital, run_outreach: Run) -> None:
    path = outreach.folder / "addresses.csv"
    path.write_text(path.read_text() + "P-2,sms,001 555 010 0001,2024-01-01\n")
    assert run_outreach("inbound", written(outreach.folder, "reply,,15550100001,,sms,stop,,"))[0] == 0
    assert {one[0] for one in standing(outreach)} == {"P-1", "P-2"}


@pytest.mark.parametrize(
    ("kind", "meant"), [("reply", {"P-1", "P-2"}), ("complaint", {"P-1", "P-2"}), ("bounce", {"P-1"})]
)
def test_a_reply_to_a_message_means_everybody_who_is_reached_where_it_went(
    kind: str, meant: set[str], outreach: Hospital, run_outreach: Run
) -> None:
    """A person with two records answered stop to one of them, and the same telephone got the other's messages."""
    path = outreach.folder / "addresses.csv"
    path.write_text(path.read_text() + "P-2,sms,001 555 010 0001,2024-01-01\n")
    with open_journal(outreach.folder) as journal:
        message = leaf(next(iter(journal.proposals(ids=[1]))))
    assert run_outreach("inbound", written(outreach.folder, f"{kind},,,{message},,stop,,"))[0] == 0
    assert {one[0] for one in standing(outreach)} == meant


def test_a_call_is_kept_with_its_person_and_lifted_by_one(outreach: Hospital, run_outreach: Run) -> None:
    code, said, _ = run_outreach("inbound", "--patient", "p 1", *GRACE)
    assert (code, said["patients"]) == (0, 1)  # however it is spelt
    assert states(outreach) == {"proposed": 11}
    assert run_outreach("inbound", "--patient", "p 1", "--again", *GRACE)[0] == 0
    assert standing(outreach) == []
    kept = load_home(outreach.folder).withdrawals.read()
    assert [(one.why, one.person) for one in kept] == [("refusal", "Grace Hopper"), ("again", "Grace Hopper")]
    assert run_outreach("inbound", "--patient", "P-2")[0] == 2
    assert run_outreach("inbound")[0] == 2


TODAY = datetime.now(UTC).date()


NOW = datetime.now(UTC)
SAID: dict[str, tuple[str, bool]] = {
    "today": (str(TODAY), True),  # before or after the lift, nobody knows
    "no time": ("", True),
    "not a time": ("never", True),
    "tomorrow": (f"{TODAY + timedelta(days=1)}T00:00", True),  # a clock that is ahead
    "of which zone": (f"{NOW:%Y-%m-%dT%H:%M}", True),
    "days ago": (str(TODAY - timedelta(days=3)), False),
    "hours of days ago": (f"{TODAY - timedelta(days=2)}T09:00:00+00:00", False),
    "minutes ago": (f"{NOW - timedelta(minutes=9):%Y-%m-%dT%H:%M:%S+00:00}", False),
}


@pytest.mark.parametrize("when", SAID)
def test_a_stop_that_may_have_been_said_after_it_was_lifted_counts_anew(
    outreach: Hospital, run_outreach: Run, when: str
) -> None:
    """The same bytes, read again after a person lifted the first: of an opt-out no doubt is held against a patient."""
    at, heard = SAID[when]
    path = written(outreach.folder, f"reply,P-1,,,sms,STOP,,{at}")
    assert run_outreach("inbound", path)[1]["withdrawals"] == 1
    assert run_outreach("inbound", path)[1]["withdrawals"] == 0
    assert run_outreach("inbound", "--patient", "P-1", "--again", *GRACE)[0] == 0
    assert standing(outreach) == []
    assert run_outreach("inbound", path)[1]["withdrawals"] == heard
    assert bool(standing(outreach)) == heard
    assert run_outreach("inbound", path)[1]["withdrawals"] == 0
    assert bool(standing(outreach)) == heard


@pytest.mark.parametrize("head", ["patient,text", "kind,text", "", "kind"])
def test_a_file_that_names_no_columns_is_refused(outreach: Hospital, run_outreach: Run, head: str) -> None:
    assert run_outreach("inbound", written(outreach.folder, "P-1,STOP", head=head))[0] == 2


def test_about_tells_what_why_and_on_which_consent(outreach: Hospital, run_outreach: Run) -> None:
    run_outreach("hold", 1, *GRACE)
    code, said, _ = run_outreach("about", "P-1", "--person", "Ida Rhodes")
    assert code == 0
    message = said["messages"][0]
    assert (message["state"], message["because_of"]) == ("held", "unconfirmed-visit")
    assert message["stands_on"] == {"contact": "consents"}
    assert message["reasons"] == ["was late before", "the standard message"]
    code, text, _ = run_outreach("about", "P-1", "--person", "Ida Rhodes", plain=True)
    told = " ".join(text.split())
    assert f"otherwise {message['standard_message']}" in told
    assert "why was late before" in told
    assert message["decisions"][0]["person"] == "Grace Hopper"
    assert run_outreach("about", "P-1", "--person", "Ada Byron")[0] == 2
    run_outreach("inbound", "--patient", "P-1", *GRACE)
    code, said, _ = run_outreach("about", "P-1", "--person", "Ida Rhodes")
    assert (said["messages"], said["withdrawals"][0]["consent"]) == ([], "all")
    code, text, _ = run_outreach("about", "P-1", "--person", "Ida Rhodes", plain=True)
    assert "Withdrew all" in text


def test_who_withdrew_can_be_proposed_nothing_that_was_kept(outreach: Hospital, run_outreach: Run) -> None:
    """A crash between the withdrawal and the journal's forgetting is healed when the file is read again."""
    path = written(outreach.folder, "reply,P-1,,,sms,STOP,,2026-12-01T09:00:00+00:00")
    run_outreach("inbound", path)
    propose(outreach, 1)
    assert states(outreach) == {"proposed": 12}
    run_outreach("inbound", path)
    assert states(outreach) == {"proposed": 11}
