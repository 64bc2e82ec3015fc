"""``outreach queue``, ``approve``, ``hold``, ``refuse``, ``change``, ``standing``, ``stop``: a named person decides."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from tests.client.outreach.content.modules import write_folder
from tests.client.outreach.decide.outreach_home import (
    ADA,
    GRACE,
    IDA,
    PLACEHOLDERS,
    Run,
    approve_content,
    explored,
    fill_disk,
    propose,
    record_recall,
    say_chosen_by,
    states,
    text_of,
)
from tests.client.small_hospital import Hospital
from wardround.client.outreach.decide.decisions import Decider
from wardround.client.outreach.journal.journal import open_journal
from wardround.client.outreach.recalls import ModelRecalled

BOTH = ("approve", "--trigger", "unconfirmed-visit", "--yes")
UNTIL = ("--until", str(datetime.now(UTC).date() + timedelta(days=90)))
STANDING = ("standing", "begin", "--trigger", "unconfirmed-visit", "--module", "visit.en", *UNTIL, "--yes")


def test_a_first_use_waits_for_a_second_person_and_time_approves_nothing(
    outreach: Hospital, run_outreach: Run
) -> None:
    code, said, error = run_outreach(*BOTH, *GRACE)
    assert code == 0, error
    assert (said["approved"], said["people_needed"]) == ([], 2)
    assert len(said["wait_for_another_person"]) == 12
    code, _, error = run_outreach(*BOTH, *GRACE)
    assert code == 2
    assert "another person" in error
    assert states(outreach) == {"proposed": 12}
    code, said, _ = run_outreach(*BOTH, *IDA)
    assert (code, len(said["approved"])) == (0, 12)
    assert states(outreach) == {"approved": 12}


def test_communications_see_texts_and_counts_and_a_clinician_sees_patients(
    outreach: Hospital, run_outreach: Run
) -> None:
    code, said, _ = run_outreach("queue", "--person", "Grace Hopper")
    assert (code, said["role"], len(said["waiting"])) == (0, "clinician", 12)
    assert said["waiting"][0]["patient"] == "P-1"
    assert said["waiting"][0]["reasons"] == ["was late before", "the standard message"]
    code, said, _ = run_outreach("queue", "--person", "Ada Byron")
    assert (code, [one["count"] for one in said["waiting"]]) == (0, [12])
    code, text, _ = run_outreach("queue", "--person", "Ada Byron", plain=True)
    for secret in ("P-1", "late before", "Mia", "+1555"):
        assert secret not in str(said) + text
    assert "you have a visit" in text
    run_outreach("hold", 1, 2, *GRACE)
    code, said, _ = run_outreach("queue", "--person", "Ada Byron")
    assert [one["count"] for one in said["waiting"]] == [None, None]
    assert run_outreach("queue", "--person", "Root")[0] == 2


def test_communications_decide_about_groups_alone(outreach: Hospital, run_outreach: Run) -> None:
    code, _, error = run_outreach("approve", 1, "--yes", *ADA)
    assert code == 2
    assert "a clinician decides about fewer" in error
    assert run_outreach(*BOTH, *ADA)[0] == 0
    assert run_outreach(*BOTH, *IDA)[0] == 0
    assert states(outreach) == {"approved": 12}


def test_what_is_held_or_refused_does_not_leave_until_somebody_decides_again(
    outreach: Hospital, run_outreach: Run
) -> None:
    assert run_outreach("hold", 1, 2, *GRACE)[1] == {"held": [1, 2], "exported_already": 0}
    assert run_outreach("refuse", 3, *GRACE)[1]["refused"] == [3]
    for person in (GRACE, IDA):
        assert run_outreach("approve", 1, *range(4, 13), "--yes", *person)[0] == 0
    assert states(outreach) == {"approved": 10, "held": 1, "refused": 1}
    assert run_outreach("approve", 3, "--yes", *GRACE)[0] == 2
    assert run_outreach("hold", 4, *IDA)[1]["held"] == [4]


@pytest.mark.parametrize("act", ["hold", "refuse"])
def test_what_has_left_cannot_be_held_and_that_is_said(
    outreach: Hospital, run_outreach: Run, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for person in (GRACE, IDA):
        run_outreach("approve", *range(1, 12), "--yes", *person)
    decided = Decider.check

    def meanwhile(decider: Decider, proposals: Any, single: bool) -> None:
        decided(decider, proposals, single)
        monkeypatch.setattr(Decider, "check", decided)
        assert run_outreach("export", "texts", "--person", "Grace Hopper")[0] == 0

    monkeypatch.setattr(Decider, "check", meanwhile)
    code, _, error = run_outreach(act, 1, 12, *GRACE)
    assert (code, "id=1: exported already" in error, "1 others" in error) == (2, True, True), error
    for chosen in ((1, 99), ("--trigger", "unconfirmed-visit")):
        if act == "hold" and chosen[0] != 1:
            run_outreach("refuse", 12, *GRACE)
        code, _, error = run_outreach(act, *chosen, *GRACE)
        assert (code, "exported already" in error) == (2, True), error
    assert "11 were exported" in error
    assert states(outreach) == {"exported": 11, "refused": 1}


def test_who_holds_what_is_held_is_told_no_fault(outreach: Hospital, run_outreach: Run) -> None:
    assert run_outreach("hold", 1, *GRACE)[0] == 0
    assert run_outreach("hold", 1, 2, *IDA)[0] == 0
    assert states(outreach) == {"proposed": 10, "held": 2}


@pytest.mark.parametrize(
    "arguments", [(), (1, "--module", "visit.en"), (99,)], ids=["nothing", "both", "unknown"]
)
def test_what_is_decided_about_is_named(run_outreach: Run, arguments: tuple[object, ...]) -> None:
    assert run_outreach("approve", *arguments, "--yes", *GRACE)[0] == 2


def test_a_text_that_changed_is_not_approved(outreach: Hospital, run_outreach: Run) -> None:
    path = outreach.folder / "content/visit.en.txt"
    path.write_text(text_of(parts={"core": "Another text. Reply STOP to stop."}))
    code, _, error = run_outreach(*BOTH, *GRACE)
    assert code == 2
    assert "changed since it was proposed" in error
    approve_content(outreach)
    assert run_outreach(*BOTH, *GRACE)[0] == 2


def test_a_person_is_told_when_they_were_faster_than_reading(
    outreach: Hospital, run_outreach: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = StringIO("yes 12\n")
    answer.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", answer)
    code, said, _ = run_outreach("approve", "--module", "visit.en", *GRACE)
    assert code == 0
    assert "reading takes about" in said["warning"]
    assert "not shown" in run_outreach(*BOTH, *IDA)[1]["warning"]
    answer = StringIO("yes\n")
    answer.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", answer)
    propose(outreach, 1, occasion="another")
    assert run_outreach("approve", "--module", "visit.en", *GRACE)[0] == 2


def test_a_change_on_a_full_disk_leaves_the_message_that_was_to_be_replaced(
    outreach: Hospital, run_outreach: Run
) -> None:
    """It was void already, and the patient got neither."""
    (outreach.folder / "content/short.en.txt").write_text(text_of(id="short"))
    approve_content(outreach, "short.en")
    fill_disk(outreach.folder / "outreach.sqlite")
    code, _, error = run_outreach("change", 1, "--to", "short.en", *GRACE)
    assert (code, states(outreach)) == (2, {"proposed": 12})
    assert "disk is full" in error


def test_change_proposes_another_text_that_waits_again(outreach: Hospital, run_outreach: Run) -> None:
    for name, changes in (("short", {}), ("letter", {"channel": "letter", "subject": "A visit"})):
        (outreach.folder / f"content/{name}.en.txt").write_text(text_of(id=name, **changes))
        approve_content(outreach, f"{name}.en")
    explored(outreach, 1)
    assert run_outreach("change", 1, "--to", "letter.en", *GRACE)[0] == 2
    code, said, _ = run_outreach("change", 1, "--to", "short.en", *GRACE)
    assert (code, said["void"], said["module"]) == (0, 1, "short.en")
    assert states(outreach) == {"proposed": 12, "void": 1}
    with open_journal(outreach.folder) as journal:
        (other,) = journal.proposals(ids=[said["proposed"]])
    assert (other.arm, other.propensity) == ("explored", 1.0)  # a person's choice, which no chance made
    assert run_outreach("approve", said["proposed"], "--yes", *GRACE)[1]["people_needed"] == 2


def test_a_standing_approval_waits_for_its_second_person_and_stop_ends_it(
    outreach: Hospital, run_outreach: Run
) -> None:
    code, said, _ = run_outreach(*STANDING, *GRACE)
    assert (code, said[0]["state"]) == (0, "waits for a second person")
    assert run_outreach("standing", "apply", *GRACE)[1] == {}
    assert run_outreach("standing", "sign", 1, "--yes", *GRACE)[0] == 2
    assert run_outreach("standing", "sign", 1, "--yes", *IDA)[1][0]["state"] == "holds"
    approved = run_outreach("standing", "apply", *GRACE)[1]["1"]
    assert len(approved) + states(outreach).get("proposed", 0) == 12  # a sample waits for a person
    code, said, _ = run_outreach("stop", *ADA)
    assert (code, said) == (0, {"void": 12, "may_have_left": 0})
    propose(outreach, *range(1, 13))
    assert run_outreach("standing", "apply", *GRACE)[1] == {}
    assert run_outreach("standing", "list", *GRACE)[1][0]["state"] == "ended"


def test_what_is_approved_by_somebody_who_counts_no_more_waits_for_another_person(
    outreach: Hospital, run_outreach: Run
) -> None:
    """It does not leave, is seen as waiting, and leaves when somebody else approved it: no patient goes without."""
    people = outreach.folder / "people.yaml"
    as_before = people.read_text()
    for person in (GRACE, IDA):
        assert run_outreach(*BOTH, *person)[0] == 0
    people.write_text(as_before.replace("name: Ida Rhodes", "left: 2026-01-01, name: Ida Rhodes"))
    assert people.read_text() != as_before
    _, said, _ = run_outreach("export", "texts", "--person", "grace")
    assert (said["sent"], said["kept"]) == (0, {"signed": 12})
    code, _, error = run_outreach(*BOTH, *IDA)
    assert (code, "left on 2026-01-01" in error) == (2, True)
    assert {one["state"] for one in run_outreach("queue", "--person", "grace")[1]["waiting"]} == {"proposed"}
    assert run_outreach(*BOTH, *GRACE)[0] == 2
    code, said, error = run_outreach(*BOTH, *ADA)
    assert (code, len(said["approved"])) == (0, 12), error
    assert run_outreach("export", "texts", "--person", "grace")[1]["sent"] == 12


def test_what_a_recalled_model_chose_is_not_approved_and_is_seen_as_recalled(
    outreach: Hospital, run_outreach: Run
) -> None:
    """By nobody, one by one or as a group, nor by a standing approval; a person may hold or refuse it."""
    write_folder(
        outreach.folder / "content", text_of(), text_of(id="short", length="short"), placeholders=PLACEHOLDERS
    )
    for name in ("visit.en", "short.en"):
        approve_content(outreach, name)
    say_chosen_by(outreach, "cd" * 32, "ef" * 32, 1, 2)
    for person, act in ((GRACE, STANDING), (IDA, ("standing", "sign", 1, "--yes"))):
        assert run_outreach(*act, *person)[0] == 0
    record_recall(outreach, "ab" * 32, "ef" * 32)
    for act in (BOTH, ("approve", 1, "--yes"), ("change", 2, "--to", "short.en")):
        code, _, error = run_outreach(*act, *GRACE)
        assert (code, "its operator recalled; nothing was decided" in error) == (2, True), error
    assert {1, 2}.isdisjoint(run_outreach("standing", "apply", *GRACE)[1]["1"])
    seen = {one["id"]: one["state"] for one in run_outreach("queue", "--person", "grace")[1]["waiting"]}
    assert (seen[1], seen[2], "recalled" in {seen[number] for number in range(3, 13)}) == (
        *["recalled"] * 2,
        False,
    )
    groups = run_outreach("queue", "--person", "ada")[1]["waiting"]
    assert {one["state"]: one["count"] for one in groups}["recalled"] is None
    assert run_outreach("hold", 1, *GRACE)[1]["held"] == [1]
    assert run_outreach("refuse", 2, *GRACE)[1]["refused"] == [2]


def test_watch_approves_what_a_standing_approval_covers(
    outreach: Hospital, run_outreach: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``standing apply`` after each ``propose``: nothing before two people signed it, and nothing it leaves out."""

    def watched() -> dict[str, int]:
        with monkeypatch.context() as patched:
            look = "wardround.client.commands.outreach_watch.watch"
            patched.setattr(look, lambda run, *others: run())
            run_outreach("watch", plain=True)
        return states(outreach)

    assert watched() == {"proposed": 12}
    run_outreach(*STANDING, *GRACE)
    assert watched() == {"proposed": 12}
    run_outreach("standing", "sign", 1, "--yes", *IDA)
    found = watched()
    assert found["approved"] >= 6
    assert sum(found.values()) == 12
    assert watched() == found
    assert run_outreach("export", "texts", "--person", "Grace Hopper")[1]["sent"] == found["approved"]


def test_a_watch_whose_model_is_refused_proposes_standard_messages_and_says_so(
    outreach: Hospital, run_outreach: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recall, or a model's last day, must not leave patients without the message that is due."""
    model = outreach.folder / "model.safetensors"
    model.write_bytes(b"no model any more")
    monkeypatch.setattr("wardround.client.commands.outreach_watch.watch", lambda run, *others: run())
    _, said, _ = run_outreach("watch", str(model), "--personal", plain=True)
    assert "Standard messages alone, without a model: " in said
    assert states(outreach) == {"proposed": 12}


def test_a_timers_run_with_a_recalled_model_proposes_standard_messages_and_says_so(
    outreach: Hospital, run_outreach: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(outreach.folder / "model.safetensors")

    def recalled(*given: object) -> None:
        raise ModelRecalled("it was recalled")  # by whichever file: test_recalls.py

    monkeypatch.setattr("wardround.client.commands.outreach_propose.usable_model", recalled)
    assert run_outreach("propose", model)[0] == 2
    code, _, error = run_outreach("propose", model, "--personal", "--by-timer", 24)
    assert (code, "Standard messages alone, without a model: it was recalled" in error) == (0, True)
    assert states(outreach) == {"proposed": 12}


def test_a_standing_approval_is_for_a_declared_trigger_and_a_bounded_time(run_outreach: Run) -> None:
    late = ("--until", str(datetime.now(UTC).date() + timedelta(days=900)))
    assert run_outreach(*STANDING, *late, *GRACE)[0] == 2
    assert run_outreach(*STANDING, "--trigger", "another", *GRACE)[0] == 2
    assert run_outreach(*STANDING, "--sample", 0, *GRACE)[0] == 2
    assert run_outreach(*STANDING, "--person", "Root", "--reason", "x")[0] == 2
    assert run_outreach("standing", "end", 7, *GRACE)[0] == 2
