"""A served study's secure sums with members in memory: set-up, sums, drop-outs, kills in every phase, and voids."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.server.algorithm.sums import SetUpMember
from wardround.conf.proposal import Serving
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.secure_sum.exchange import MaskedIntegers, TakenShares
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.terms.settings import PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import RoundPlan
from wardround.protocol.wire.signed_terms import sign_terms
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_wire import SumStep
from wardround.server.algorithm import rounds
from wardround.server.algorithm.screen import NoRelease
from wardround.server.commands import status
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.checkpoint import resume
from wardround.server.store.event_log import EventLog, read_events
from wardround.server.store.operator_home import load_operator_home
from wardround.server.store.sum_files import SumFolder
from wardround.server.study import quorum
from wardround.server.study.secure_sums import Sums, run_sum
from wardround.server.study.served import ServedStudy
from wardround.server.study.set_up_sums import SumAsks, set_up, sum_study
from wardround.server.study.sum_rounds import one_sum_round
from wardround.server.watch.standing import study_standing

NAMES = ("north", "south", "east", "west")
INTEGERS = {name: np.arange(6) * 10**9 + index for index, name in enumerate(NAMES)}


class Killed(Exception):
    """Stands for SIGKILL at one point of the server's process."""


class Hospitals:
    """Members in memory behind what carries a study's messages. away: who does not answer, by step."""

    def __init__(self, terms, keys):
        self.terms = terms
        self.members = {name: SetUpMember(name, keys[name]) for name in NAMES}
        for member in self.members.values():
            member.study = sum_study(terms)
        self.away, self.asked, self.kill_after, self.integers = {}, [], {}, INTEGERS

    def asks(self):
        return SumAsks(self._plans, self._requests)

    def _plans(self, plans):
        return self._answered(SumStep.MASKED, plans, lambda plan: self.masked(plan))

    def _requests(self, requests, seconds):
        step = requests[0].step
        return self._answered(step, requests, lambda one: self.members[one.hospital].answer(one))

    def masked(self, plan):
        integers = self.integers[plan.hospital]
        return self.members[plan.hospital].masked(plan, self.terms, integers)

    def _answered(self, step, asks, answer):
        for count, one in enumerate(asks):
            if self.kill_after.get(step) == count:
                del self.kill_after[step]
                raise Killed
            self.asked.append((step, one.hospital))
            if one.hospital in self.away.get(step, ()):
                yield NoRelease(one.hospital, "late")
            else:
                yield answer(one)
        if self.kill_after.pop(step, None) == len(asks):
            raise Killed


@pytest.fixture
def hospitals(make_terms):
    keys = {name: new_key() for name in NAMES}
    terms = replace(
        make_terms(rounds=2),
        simulation=False,
        reply_delay_seconds=0.0,
        privacy=PrivacySettings(noise="secure"),
        training=TrainingSettings(rounds=2, learning_rate=1.0, public_patients=dict.fromkeys(NAMES, 100)),
        secure_sum=SecureSumSettings(
            threshold=3, colluding=1, parameters=6, members={name: key.public for name, key in keys.items()}
        ),
    )
    return Hospitals(terms, keys)


@pytest.fixture
def study(hospitals, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(quorum, "FIRST_PAUSE_SECONDS", 0.01)
    home = begin_operator_home(tmp_path / "op", "127.0.0.1:8443")
    folder = home.study("tea")
    serving = Serving(
        study="tea", home=home.folder, round_seconds=1, quorum=0.6, wait_seconds=0.1, now=datetime.now(UTC)
    )
    signed = sign_terms(hospitals.terms, home.key())
    return ServedStudy(load_operator_home(home.folder), folder, signed, serving, EventLog(folder.events))


def plans(study, number=1, weights=0.0):
    announced = np.full(6, weights, np.float32)
    return [
        RoundPlan(
            study="tea",
            hospital=name,
            round=number,
            terms_fingerprint=study.terms.fingerprint,
            weights=announced,
            asks="update",
        )
        for name in study.terms.hospitals
    ]


def summed(study, hospitals, number=1, weights=0.0, replaceable=False):
    """Set up where that is not done, and carry out one sum."""
    roster = set_up(study, hospitals.asks())
    return run_sum(
        study,
        Sums(roster, hospitals.asks()),
        plans(study, number, weights),
        f"round {number}",
        below="below_quorum",
        replaceable=replaceable,
        wait_seconds=study.serving.wait_seconds,
    )


def total(*names):
    return sum(INTEGERS[name] for name in names)


def events(study, *kinds):
    return [event for event in read_events(study.folder.events) if event["event"] in kinds]


def test_a_study_sets_up_once_and_sums_exactly(study, hospitals):
    first = summed(study, hospitals)
    assert np.array_equal(first.total, total(*NAMES))
    assert (set(first.accepted), first.void) == (set(NAMES), "")
    assert set(first.heads) == set(NAMES)
    hospitals.asked.clear()
    assert np.array_equal(summed(study, hospitals, number=2).total, total(*NAMES))
    assert {step for step, _ in hospitals.asked} == {SumStep.MASKED, SumStep.SURVIVORS}
    (ready,) = events(study, "secure_sum_ready")
    assert ready["roster"] == set_up(study, hospitals.asks()).digest.hex()
    assert [event["survivors"] for event in events(study, "survivors")] == [sorted(NAMES)] * 2


def test_trip_two_asks_whoever_was_quickest_and_no_more_than_it_needs(study, hospitals):
    assert np.array_equal(summed(study, hospitals).total, total(*NAMES))
    quickest = [name for step, name in hospitals.asked if step is SumStep.MASKED][:3]
    assert [name for step, name in hospitals.asked if step is SumStep.SURVIVORS] == quickest


def test_where_one_is_silent_everybody_is_asked_also_who_is_not_in_the_sum(study, hospitals):
    hospitals.away = {SumStep.MASKED: {"north"}, SumStep.SURVIVORS: {"south"}}
    found = summed(study, hospitals)
    assert np.array_equal(found.total, total("south", "east", "west"))
    assert found.refused == {"north": "late"}
    assert (SumStep.SURVIVORS, "north") in hospitals.asked


def test_who_is_lost_between_the_trips_stays_in_the_sum(study, hospitals):
    hospitals.away = {SumStep.SURVIVORS: {"west"}}
    assert np.array_equal(summed(study, hospitals).total, total(*NAMES))


@pytest.mark.parametrize("step", [SumStep.KEYS, SumStep.DEAL, SumStep.TAKE])
def test_set_up_needs_everybody_and_says_who_is_missing(study, hospitals, step):
    hospitals.away = {step: {"west"}}
    with pytest.raises(ConfigurationError, match=r"set-up: 3 of 4 hospitals sent .*west: late"):
        set_up(study, hospitals.asks())
    found = study_standing(study.folder)
    assert found["set_up_waits_for"] == {"west": "late"}
    said = "  set-up of secure sums needs every hospital; not there yet: west (late)"
    assert status._sum_lines(found) == (said,)
    hospitals.away = {}
    assert np.array_equal(summed(study, hospitals).total, total(*NAMES))
    assert study_standing(study.folder)["set_up_waits_for"] == {}


def test_a_hospital_whose_shares_do_not_open_is_named_and_the_study_does_not_begin(study, hospitals):
    west = hospitals.members["west"]
    deal = west.deal

    def broken(body):
        dealt = bytearray(deal(body))
        dealt[64 + 40] ^= 1
        return bytes(dealt)

    west.deal = broken
    with pytest.raises(ConfigurationError, match="east could not open what west dealt; this roster cannot"):
        set_up(study, hospitals.asks())
    assert events(study, "set_up_failed")[0]["failed"] == {"east": ["west"]}


KILLS = [
    *((step, count) for step in SumStep for count in range(5)),
]


@pytest.mark.parametrize(("step", "count"), KILLS)
def test_a_server_killed_anywhere_goes_on_with_the_same_roster_and_the_same_survivors(
    study, hospitals, step, count
):
    """Members refuse a second roster, other survivors for a slot, and trip 1 after trip 2."""
    hospitals.kill_after = {step: count}
    hospitals.away = {SumStep.MASKED: {"south"}}
    try:
        found = summed(study, hospitals)
    except Killed:
        # Whoever was away is back: were the survivors not kept, there would be four now.
        kept = SumFolder(study.folder.sums).folder / "training"
        fixed = kept.is_dir()
        hospitals.away = {}
        found = summed(study, hospitals)
        expected = ("north", "east", "west") if fixed else NAMES
    else:
        expected = ("north", "east", "west")
    assert np.array_equal(found.total, total(*expected))
    assert len({tuple(m.survivors.items()) for m in hospitals.members.values() if m.survivors}) == 1


def test_survivors_that_were_kept_are_in_the_log_though_the_server_was_killed_in_between(
    study, hospitals, monkeypatch
):
    save_fixed = SumFolder.save_fixed

    def killed(self, fixed):
        save_fixed(self, fixed)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(SumFolder, "save_fixed", killed)
        with pytest.raises(Killed):
            summed(study, hospitals)
    assert events(study, "survivors") == []
    summed(study, hospitals)
    assert [event["survivors"] for event in events(study, "survivors")] == [sorted(NAMES)]


def test_below_the_threshold_the_slot_waits_with_stored_bytes_and_is_not_given_up(study, hospitals):
    hospitals.away = {SumStep.MASKED: {"north", "east"}}
    with pytest.raises(
        ConfigurationError, match=r"round 1: 2 of 4 hospitals sent a masked release.*needed 3"
    ):
        summed(study, hospitals, replaceable=True)
    stored = dict(hospitals.members["south"].stored)
    hospitals.away = {}
    assert np.array_equal(summed(study, hospitals).total, total(*NAMES))
    assert stored.items() <= hospitals.members["south"].stored.items()


def test_too_few_shares_wait_and_then_the_slot_is_void_where_another_can_replace_it(study, hospitals):
    hospitals.away = {SumStep.SURVIVORS: {"north", "east"}}
    with pytest.raises(
        ConfigurationError, match=r"shares: 2 of 4 hospitals sent shares.*needed 3 right ones"
    ):
        summed(study, hospitals)
    found = summed(study, hospitals, replaceable=True)
    assert found.total is None
    assert found.void == "too few shares of east, north, south, west"
    assert events(study, "void_sum")[0]["why"] == found.void
    hospitals.away = {}
    assert np.array_equal(summed(study, hospitals, number=2).total, total(*NAMES))


def test_a_bad_dealer_voids_the_round_at_once_and_is_named(study, hospitals):
    masked = hospitals.masked

    def lying(plan):
        answer = masked(plan)
        return replace(answer, body=bytes(32) + answer.body[32:]) if plan.hospital == "west" else answer

    hospitals.masked = lying
    found = summed(study, hospitals, replaceable=True)
    assert (found.total, found.void) == (None, "bad dealer by west")


def test_wrong_shares_beside_enough_right_ones_are_named_in_the_log(study, hospitals):
    west = hospitals.members["west"]
    give = west.give
    west.give = lambda request: give(request)[:-33] + bytes(33)
    hospitals.away = {SumStep.SURVIVORS: set()}
    order = sorted(NAMES, key=lambda name: name != "west")  # it answers first
    asks = hospitals.asks()
    first = SumAsks(
        lambda plans: asks.plans(sorted(plans, key=lambda plan: order.index(plan.hospital))), asks.requests
    )
    hospitals.asks = lambda: first
    assert np.array_equal(summed(study, hospitals).total, total(*NAMES))
    assert events(study, "unmasked")[0]["wrong"] == ["west"]


def test_survivors_that_are_damaged_void_the_slot_and_no_others_are_named(study, hospitals):
    hospitals.away = {SumStep.SURVIVORS: {"north", "east"}}
    with pytest.raises(ConfigurationError):
        summed(study, hospitals)
    (path,) = (study.folder.sums / "training").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    hospitals.asked.clear()
    assert summed(study, hospitals).void == "survivors lost"
    assert hospitals.asked == []


def test_weights_that_a_damaged_checkpoint_changed_void_a_slot_whose_survivors_are_fixed(study, hospitals):
    summed(study, hospitals)
    assert summed(study, hospitals, weights=1.0).void == "survivors lost"


def test_a_damaged_dealing_is_asked_for_again(study, hospitals):
    roster = set_up(study, hospitals.asks())
    path = study.folder.sums / "west.dealing"
    before = path.read_bytes()
    path.write_bytes(before[:-1] + b"x")
    hospitals.asked.clear()
    assert set_up(study, hospitals.asks()).digest == roster.digest
    assert path.read_bytes() == before
    assert (SumStep.DEAL, "west") in hospitals.asked
    assert (SumStep.DEAL, "north") not in hospitals.asked


def test_a_stop_is_heard_between_two_askings_and_the_study_goes_on_later(study, hospitals):
    hospitals.away = {SumStep.SURVIVORS: {"north", "east"}}
    set_up(study, hospitals.asks())
    study.folder.stop.touch()
    with pytest.raises(quorum.Stopped):
        summed(study, hospitals)
    study.folder.stop.unlink()
    hospitals.away = {}
    assert np.array_equal(summed(study, hospitals).total, total(*NAMES))


def test_status_names_the_roster_and_counts_void_sums(study, hospitals):
    assert status._sum_lines(study_standing(study.folder)) == ()
    summed(study, hospitals)
    found = study_standing(study.folder)
    roster = events(study, "secure_sum_ready")[0]["roster"]
    assert (found["state"], found["roster"], found["void_sums"]) == ("running", roster, [])
    assert status._sum_lines(found) == (f"  secure sums of roster {roster[:12]}",)
    assert summed(study, hospitals, weights=1.0).void == "survivors lost"
    found = study_standing(study.folder)
    assert found["void_sums"] == [["training", 1]]
    assert status._sum_lines(found) == (f"  secure sums of roster {roster[:12]}, 1 void",)


def closes(study, state, hospitals):
    hospitals.integers = dict.fromkeys(NAMES, np.arange(6))  # within the norm that honest hospitals may have
    sums = Sums(set_up(study, hospitals.asks()), hospitals.asks())
    return one_sum_round(study, state, sums)


def test_a_void_round_is_charged_by_its_number_and_a_spare_one_stands_in_for_it(study, hospitals, capsys):
    """Two rounds and one spare: the state moves on with the number alone, and the study makes both rounds."""
    masked = hospitals.masked

    def lying(plan):
        answer = masked(plan)
        bad = plan.hospital == "west" and plan.round == 1
        return replace(answer, body=bytes(32) + answer.body[32:]) if bad else answer

    hospitals.masked = lying
    state = closes(study, rounds.init(study.terms), hospitals)
    assert (state.round, state.made, state.void) == (2, 0, (1,))
    assert not state.weights.any()
    while not rounds.finished(state, study.terms):
        state = closes(study, state, hospitals)
    assert (state.round, state.made) == (4, 2)
    assert state.weights.any()
    said = capsys.readouterr().err
    assert "round 1 of 2: 4 of 4 hospitals" in said
    assert "not used: bad dealer by west" in said
    assert "round 3, a spare one: 4 of 4 hospitals" in said
    assert resume(study.folder.checkpoints, study.terms).state.round == 4


def test_without_a_spare_left_too_few_shares_stop_the_study_and_it_goes_on_later(study, hospitals):
    state = replace(rounds.init(study.terms), round=2, void=(1,))
    hospitals.away = {SumStep.SURVIVORS: {"north", "east"}}
    with pytest.raises(ConfigurationError, match="round 2, shares: 2 of 4"):
        closes(study, state, hospitals)
    hospitals.away = {}
    assert closes(study, state, hospitals).made == 1


def garbage(masked, earlier):
    """What a lying hospital may put in the place of its masked release; its own seed and shares stay honest."""
    rng = np.random.default_rng(7)
    return {
        "masks of its own": masked.masked + rng.integers(0, 2**64, len(masked.masked), np.uint64),
        "a huge number": masked.masked + np.uint64(2**62),
        "the least number": masked.masked + np.uint64(2**63),
        "an older round's": earlier.masked,
    }


@pytest.mark.parametrize("lie", ["masks of its own", "a huge number", "the least number", "an older round's"])
def test_a_liars_garbage_voids_a_sum_and_names_nobody_and_the_study_goes_on(study, hospitals, lie, capsys):
    """No single release can be looked at: the norm of the sum is all that the server has, and rounds to spare."""
    masked, sent = hospitals.masked, {}

    def lying(plan):
        answer = masked(plan)
        found = MaskedIntegers.from_bytes(answer.body, len(NAMES), 6)
        earlier = sent.setdefault(plan.hospital, found)
        if (plan.hospital, plan.round) != ("west", 2):
            return answer
        other = replace(found, masked=garbage(found, earlier)[lie])
        return replace(answer, body=other.to_bytes())

    hospitals.masked = lying
    state = rounds.init(study.terms)
    while not rounds.finished(state, study.terms):
        state = closes(study, state, hospitals)
    assert (state.void, state.made, state.round) == ((2,), 2, 4)
    assert np.isfinite(state.weights).all()
    said = capsys.readouterr().err
    assert "norm out of bound" in said
    assert "norm out of bound by" not in said


def test_an_older_release_as_it_was_signed_is_refused_by_name_and_the_sum_is_of_the_others(study, hospitals):
    masked, sent = hospitals.masked, {}

    def replaying(plan):
        return sent.setdefault(plan.hospital, masked(plan)) if plan.hospital == "west" else masked(plan)

    hospitals.masked = replaying
    assert np.array_equal(summed(study, hospitals).total, total(*NAMES))
    found = summed(study, hospitals, number=2)
    assert np.array_equal(found.total, total("north", "south", "east"))
    assert found.refused == {"west": "wrong round"}


def test_a_hospital_that_blames_an_honest_one_at_set_up_is_named_beside_it(study, hospitals):
    """Which of the two lies nobody can tell: the study does not begin, and nobody is charged."""
    hospitals.members["west"].take = lambda body: TakenShares((1,)).to_bytes()
    accused = sorted(NAMES)[0]
    with pytest.raises(ConfigurationError) as told:
        summed(study, hospitals)
    assert "west" in str(told.value)
    assert accused in str(told.value)
