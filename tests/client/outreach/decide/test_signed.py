"""A proposal leaves only by the word of enough people about exactly this content; time passing approves nothing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.outreach.content.modules import module_of
from tests.client.outreach.decide.decided import (
    ADA,
    DIGEST,
    GRACE,
    IDA,
    NOW,
    PEOPLE,
    POLICY,
    TODAY,
    act,
    proposal,
    standing,
)
from wardround.client.outreach.decide.acts import OUTREACH_LOG, OutreachAct, OutreachLog
from wardround.client.outreach.decide.rules import (
    check_choice,
    people_needed,
    reading_seconds,
    role_of,
    too_fast,
)
from wardround.client.outreach.decide.signed import signed_about
from wardround.client.outreach.decide.standing import is_sampled, within
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.policy.people import People
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.signing import new_key

ONE = proposal()


def approved(*acts: OutreachAct, one: OutreachProposal = ONE) -> bool:
    return signed_about(acts).approved(one, PEOPLE, TODAY)


def test_one_persons_yes_is_enough_where_one_is_needed() -> None:
    assert not approved()
    assert approved(act("approve", [ONE]))
    assert not approved(act("approve", [ONE], person="Nobody Known"))


def test_two_different_people_where_two_are_needed_with_a_clinician_among_them() -> None:
    first = act("approve", [ONE], needed=2)
    assert not approved(first)
    for name in ("GRACE  hopper", "G. Hopper", "grace", "Grace Hoper", "Hopper Grace", "Gr\u0430ce Hopper"):
        assert not approved(first, act("approve", [ONE], person=name, needed=2))
    assert approved(first, act("approve", [ONE], person=IDA, needed=2))
    assert approved(first, act("approve", [ONE], person=ADA, needed=2))
    both = [act("approve", [ONE], person=name, needed=2) for name in (ADA, "Mary Shaw")]
    assert not approved(*both)
    assert approved(*both, act("approve", [ONE], person=IDA, needed=2))


@pytest.mark.parametrize("against", ["hold", "refuse", "stop"])
def test_a_later_no_counts_and_a_later_yes_too(against: str) -> None:
    yes, no = act("approve", [ONE]), act(against, [ONE])
    assert not approved(yes, no)
    assert approved(yes, no, yes)


def with_people(**changes: dict[str, object]) -> People:
    """The people, of whom some changed."""
    each = PEOPLE.by_account
    return People(each | {one: replace(each[one], **more) for one, more in changes.items()})  # type: ignore[arg-type]


def test_what_somebody_signed_before_they_left_counts_and_nothing_later() -> None:
    """A single approval; a standing one decides every day, and needs both there. Who was deleted never signed."""
    both = [act("approve", [ONE], person=name, needed=2) for name in (GRACE, IDA)]
    standing_ = act("standing", standing=standing())
    always = (standing_, replace(standing_, person=IDA, number=1), act("apply", [ONE], number=1))
    tomorrow, today = ({"left": TODAY + timedelta(days=days)} for days in (1, 0))

    def counts(acts: Sequence[OutreachAct], people: People) -> bool:
        return signed_about(acts).approved(ONE, people, TODAY)

    assert counts(both, with_people(ida=tomorrow))
    assert counts(both, with_people(ida=tomorrow, grace=tomorrow))
    assert not counts(both, with_people(ida=today))
    assert not counts(both, with_people(ida={"roles": ()}))
    assert not counts(both, People({one: who for one, who in PEOPLE.by_account.items() if one != "ida"}))
    assert counts(always, PEOPLE)
    assert not counts(always, with_people(ida=tomorrow))


CHANGES = (
    {"module_digest": "cd" * 32}, {"module": "other.en"}, {"token": "f" * 32}, {"channel": "email"},
    {"send_after": NOW}, {"send_before": NOW}, {"topic": "oncology"}, {"trigger": "other"}, {"occasion": "other"},
    {"recipient": "professional"}, {"population": "known"},
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_a_yes_is_about_exactly_what_was_read(change: dict[str, object]) -> None:
    assert not approved(act("approve", [ONE]), one=replace(ONE, **change))  # type: ignore[arg-type]


def test_a_standing_approval_needs_two_people_and_holds_until_somebody_ends_it() -> None:
    first = act("standing", standing=standing())
    second = replace(first, person=IDA, number=1)
    apply = act("apply", [ONE], number=1)
    assert not approved(first, apply)
    assert not approved(first, replace(second, person="G. Hopper"), apply)
    assert approved(first, second, apply)
    assert not approved(first, second, apply, act("end", number=1))
    assert not approved(first, second, apply, act("stop"))
    assert not approved(first, replace(second, standing=standing(per_day=1000)), apply)
    acts = (first, second, apply)
    assert not signed_about(acts).approved(ONE, PEOPLE, standing().until + timedelta(days=1))
    assert not approved(first, second, act("apply", [ONE], number=2))


def test_a_standing_approval_covers_what_it_names_and_no_changed_text() -> None:
    one = standing(population="unknown")
    assert one.covers(ONE, TODAY)
    for change in (
        {"module_digest": "cd" * 32},
        {"module": "x.en"},
        {"trigger": "x"},
        {"population": "known"},
    ):
        assert not one.covers(replace(ONE, **change), TODAY)  # type: ignore[arg-type]


def test_a_standing_approval_keeps_its_caps_and_leaves_a_sample_to_people() -> None:
    many = [proposal(number) for number in range(1, 2001)]
    sampled = [one for one in many if is_sampled(one, 10)]
    assert 120 < len(sampled) < 280  # of 200 expected: beyond six standard deviations
    rule = standing(per_day=300, in_all=1000, sample=10)
    found = within(rule, many, TODAY, 0, 0)
    assert len(found) == 300
    assert not {one.id for one in found} & {one.id for one in sampled}
    assert len(within(rule, many, TODAY, 290, 290)) == 10
    assert len(within(rule, many, TODAY, 0, 995)) == 5
    assert within(rule, many, TODAY, 300, 300) == ()
    assert len(within(standing(sample=100), many, TODAY, 0, 0)) == 0


def needed(chosen: list[OutreachProposal], *acts: OutreachAct, person: str = GRACE) -> int:
    return people_needed(chosen, acts, POLICY, PEOPLE, PEOPLE.known(person), NOW).people


SENT = act("sent", [proposal(999)])


def test_a_modules_first_use_and_a_large_batch_need_two_people() -> None:
    assert needed([ONE]) == 2
    assert needed([ONE], SENT) == 1
    assert needed([replace(ONE, module_digest="cd" * 32)], SENT) == 2
    assert needed([proposal(number) for number in range(1, 6)], SENT) == 1
    assert needed([proposal(number) for number in range(1, 7)], SENT) == 2


def test_a_batch_that_is_shared_out_over_a_day_is_one_batch() -> None:
    three = [proposal(number) for number in (1, 2, 3)]
    others = [proposal(number) for number in (4, 5, 6)]
    before = act("approve", three, time=NOW - timedelta(hours=23))
    assert needed(others, SENT, before) == 2
    assert needed(others, SENT, before, person=IDA) == 1
    assert needed(others, SENT, replace(before, person="G. Hopper")) == 2
    # Who signed and is not enrolled any more may be anybody.
    assert needed(others, SENT, replace(before, person="Grace Hoper"), person=IDA) == 2
    assert needed(others, SENT, replace(before, time=NOW - timedelta(hours=25))) == 1
    assert (
        needed(others, SENT, replace(before, time=NOW + timedelta(days=9))) == 2
    )  # a clock that was set back
    assert needed(three, SENT, before) == 1


def test_who_is_not_named_decides_nothing_and_communications_single_nobody_out() -> None:
    assert (role_of("GRACE hopper", PEOPLE), role_of("ada", PEOPLE)) == ("clinician", "communications")
    for stranger in ("Root", "Hopper Grace", "Jo Wright"):
        with pytest.raises(ConfigurationError, match=r"Grace Hopper"):
            role_of(stranger, PEOPLE)
    check_choice("clinician", True, 1)
    check_choice("communications", False, 11)
    for single, count in ((True, 50), (False, 10)):
        with pytest.raises(ConfigurationError, match="clinician"):
            check_choice("communications", single, count)


def test_an_approval_faster_than_reading_is_said() -> None:
    module = module_of(parts={"core": "\n".join(["word " * 23 + "word."] * 10)})
    assert reading_seconds([module], POLICY) == 60
    assert "reading takes about 60 s" in too_fast(3.0, 60)
    assert too_fast(61.0, 60) == ""
    assert "not shown" in too_fast(None, 60)


KINDS = st.sampled_from(["approve", "hold", "refuse", "stop"])
NAMES = st.sampled_from([GRACE, IDA, ADA, "Mary Shaw", "Stranger"])


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(KINDS, NAMES, st.sampled_from([1, 2]), st.booleans()), max_size=6))
def test_over_random_histories_the_last_word_of_enough_people_counts(history) -> None:
    """The same rule, told again from the end: back to the last no, the approvals of this very content."""
    other = replace(ONE, module_digest="cd" * 32)
    acts = [act(kind, [ONE if same else other], person=who, needed=n) for kind, who, n, same in history]
    since: list[tuple[str, int]] = []
    for kind, who, n, same in history:
        if kind != "approve":
            since = []
        elif same:
            since.append((who, n))
    named = {who for who, _ in since if who != "Stranger"}
    expected = (
        bool(since) and len(named) >= since[-1][1] and (since[-1][1] == 1 or bool(named & {GRACE, IDA}))
    )
    assert approved(*acts) == expected


def test_acts_are_read_as_they_were_signed_and_hold_no_token(tmp_path: Path) -> None:
    key = new_key()
    log = OutreachLog(tmp_path / "approvals", key.public)
    acts = (
        act("approve", [proposal(number) for number in range(1, 300)], needed=2, read_seconds=40),
        act("standing", standing=standing()),
        act("end", number=2),
        act("export", [ONE]),
    )
    for one in acts:
        log.add(one, key)
    assert log.read() == acts
    content = (tmp_path / "approvals" / OUTREACH_LOG).read_text()
    assert ONE.token not in content
    assert DIGEST in content
    (tmp_path / "approvals" / OUTREACH_LOG).write_text(
        content.replace('"hold"', '"x"').replace("Grace", "Grane", 1)
    )
    with pytest.raises(ConfigurationError, match="altered"):
        log.read()


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "send"},
        {"reason": "\x1b[2J"},
        {"leaves": {"x": "0" * 32}},
        {"leaves": {"1": "0"}},
        {"kind": "standing"},
    ],
)
def test_an_act_that_could_not_be_read_again_is_never_written(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    key = new_key()
    log = OutreachLog(tmp_path / "approvals", key.public)
    with pytest.raises(ConfigurationError):
        log.add(replace(act("approve", [ONE]), **changes), key)  # type: ignore[arg-type]
    assert log.read() == ()
