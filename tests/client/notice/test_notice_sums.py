"""What patients and the board read of studies with secure sums: on what ε stands, and what holds without that."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.client.notice.test_notice import Sentences, words_of
from tests.client.small_hospital import Hospital
from tests.client.sum_hospitals import ROUNDS, SumHospitals
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.main import main
from wardround.client.notice.odds import odds, odds_of_two
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.terms.cost import study_epsilon, unmasked_epsilon
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.roster_phrase import ScryptCost, roster_phrase
from wardround.protocol.wire.signed_terms import save_terms, sign_terms

CHEAP = ScryptCost(n=2, r=1, p=1)
DELTA = 1e-5


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words' cost is held in tests/protocol/wire/test_roster_phrase.py."""
    monkeypatch.setattr(
        "wardround.client.notice.sum_words.roster_phrase", lambda members, cost: roster_phrase(members, CHEAP)
    )


@pytest.fixture
def page_of(tmp_path: Path) -> Callable[[Hospital], str]:
    """Write a hospital's notice; gives the page."""
    count = iter(range(100))

    def page(hospital: Hospital) -> str:
        hospital.stop()
        out = tmp_path / f"notice-{next(count)}.html"
        assert main(["notice", str(out), "--home", str(hospital.folder), "--json"]) == 0
        return out.read_text(encoding="utf-8")

    return page


def keep(hospital: Hospital, terms: Terms) -> None:
    """Put the operator's signed terms where the agent keeps them."""
    folder = hospital.folder / "terms"
    folder.mkdir(exist_ok=True)
    save_terms(sign_terms(terms, hospital.operator), folder / f"{terms.study}.terms")


def share_of(terms: Terms, count: int) -> PrivacyEvent:
    """What so many updates cost by one hospital's share of the noise alone."""
    return PrivacyEvent(terms.update_noise(1).shares.multiplier(1), terms.training.sampling_rate, count)


def test_the_notice_states_its_condition_and_what_holds_without_it(
    ready: SumHospitals, page_of: Callable[[Hospital], str]
) -> None:
    terms, one = ready.terms, ready.hospitals["h1"]
    keep(one, terms)
    for number in (1, 2):
        ready.masked("h1", number)
    unmasked = odds(compose_epsilon([share_of(terms, 2)], DELTA), DELTA)
    planned = odds(unmasked_epsilon(terms, DELTA)["training"], DELTA)
    stated = odds(compose_epsilon([PrivacyEvent(terms.noise_multiplier, 1.0, 2)], DELTA), DELTA)
    assert stated.right_of_100 < unmasked.right_of_100 < planned.right_of_100
    said = words_of(page_of(one))
    for fact in (
        f"At most {stated.right_of_100} of 100 such guesses are right.",
        f"If more do, at most {unmasked.right_of_100} of 100 guesses are right.",
        "In the study tea, 4 hospitals add the noise together.",
        f"only sums of at least {terms.thresholds.honest_shares} hospitals can be read.",
        "at most 1 of the 4 hospitals helps whoever runs the study.",
        f"Then at most {unmasked.right_of_100} of 100 guesses are right, from all that has left so far.",
        f"the odds grow to at most {unmasked.times:.1f} times what they were.",
        f"Once the studies above have run to their end, at most {planned.right_of_100} of 100 are right.",
        f"Without it, ε = {unmasked.epsilon:.3g} so far and {planned.epsilon:.3g} once",
        "On this condition, the limit holds whatever else they know",
        "This, too, holds only on the condition below.",
    ):
        assert fact in said, fact
    assert "This holds whatever else they know" not in said


def test_without_the_condition_studies_add_up_each_with_its_own_noise(
    ready: SumHospitals, page_of: Callable[[Hospital], str], terms_with: Callable[..., Terms]
) -> None:
    one = ready.hospitals["h1"]
    # A study by itself whose noise is the hospital's own: it counts with all of it.
    plain = terms_with(study="alone", training={"rounds": 2, "public_patients": {"h1": 40}})
    one.approve(plain)
    for terms in (ready.terms, plain):
        keep(one, terms)
    ready.masked("h1", 1)
    one.released(1, plain, ledger_head=ready.heads["h1"])
    events = [share_of(ready.terms, 1), PrivacyEvent(plain.noise_multiplier, 1.0, 1)]
    rest = [share_of(ready.terms, ready.terms.last_round), PrivacyEvent(plain.noise_multiplier, 1.0, 2)]
    said = words_of(page_of(one))
    so_far, planned = (compose_epsilon(each, DELTA) for each in (events, rest))
    assert f"Without it, ε = {so_far:.3g} so far and {planned:.3g} once" in said
    assert "In the study alone," not in said


def test_where_accounts_add_up_so_do_both_kinds_of_release_without_the_condition(
    sum_hospitals_evaluated: SumHospitals,
    page_of: Callable[[Hospital], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    terms, one = sum_hospitals_evaluated.terms, sum_hospitals_evaluated.hospitals["h1"]
    keep(one, terms)
    sum_hospitals_evaluated.masked("h1", 1)
    tables = PrivacyEvent(terms.table_noise.shares.multiplier(1))
    for left in ([], [tables]):
        if left:
            sum_hospitals_evaluated.masked("h1", 1, account="held_out", asks="tables")
        for joined in (False, True):
            monkeypatch.setattr(SqliteLedger, "joined", property(lambda ledger, joined=joined: joined))
            so_far = compose_epsilon([share_of(terms, 1), *(left if joined else [])], DELTA)
            both = [share_of(terms, terms.last_round), *([tables] if joined else [])]
            said = words_of(page_of(one))
            assert f"Without it, ε = {so_far:.3g} so far and {compose_epsilon(both, DELTA):.3g} once" in said
    one.stop()
    capsys.readouterr()
    out = str(one.folder / "again.html")
    assert main(["notice", out, "--home", str(one.folder)]) == 0
    assert f"at most {odds(so_far, DELTA).right_of_100} of 100 so far." in capsys.readouterr().out


def test_a_notice_without_secure_sums_states_no_condition(
    hospital: Hospital, page_of: Callable[[Hospital], str]
) -> None:
    hospital.approve()
    keep(hospital, hospital.terms)
    hospital.released()
    page = page_of(hospital)
    assert "This holds whatever else they know and whatever your record says." in words_of(page)
    assert "condition" not in page


def test_its_sentences_are_short_with_secure_sums_too(
    hospitals: SumHospitals, page_of: Callable[[Hospital], str]
) -> None:
    keep(hospitals.hospitals["h1"], hospitals.terms)
    reader = Sentences()
    reader.feed(page_of(hospitals.hospitals["h1"]))
    lengths = [len(sentence.split()) for sentence in reader.sentences]
    assert "condition" in " ".join(reader.sentences)
    assert max(lengths) <= 30
    assert sum(length > 20 for length in lengths) <= len(lengths) / 10


def test_a_study_that_used_a_spare_slot_has_not_ended_before_the_last(
    ready: SumHospitals, page_of: Callable[[Hospital], str]
) -> None:
    one, last = ready.hospitals["h1"], ready.terms.last_round
    assert last == ROUNDS + 1
    keep(one, ready.terms)
    for number in range(1, last):
        ready.masked("h1", number)
    said = words_of(page_of(one))
    assert "tea running" in said
    assert f"{ROUNDS} of up to {last} rounds so far." in said
    ready.masked("h1", last)
    said = words_of(page_of(one))
    assert "tea ended" in said
    assert f"{last} of up to {last} rounds so far." in said


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 5.0])
def test_a_person_of_two_hospitals_in_one_sum_is_told_no_less_than_group_privacy(epsilon: float) -> None:
    told = odds_of_two(epsilon, DELTA)
    grown = DELTA + DELTA * 2.718281828459045**epsilon
    assert told == odds(2 * epsilon, grown)
    assert told.times >= odds(2 * epsilon, 2 * DELTA).times
    assert odds_of_two(1000.0, DELTA).right_of_100 == 100


def test_the_notice_counts_both_records_of_a_person_of_two_hospitals(
    hospital: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    life = 1.000537  # where 2 ε at 2 δ, which one secure sum exceeds, would be rounded to 7.4
    hospital.write_policy(max_epsilon_for_life=life, max_epsilon_per_operator=1.0)
    assert main(["notice", str(tmp_path / "n.html"), "--home", str(hospital.folder), "--json"]) == 0
    times = json.loads(capsys.readouterr().out)["two_hospitals"]["times"]
    assert (times, odds(2 * life, 2 * DELTA).times) == (7.5, 7.4)


def board(hospital: Hospital, terms: Terms, out: Path) -> str:
    file = out.with_suffix(".terms")
    save_terms(sign_terms(terms, hospital.operator), file)
    hospital.stop()
    assert main(["approve", str(file), "--home", str(hospital.folder), "--page", str(out)]) == 0
    return words_of(out.read_text(encoding="utf-8"))


def test_the_boards_page_says_what_leaves_and_who_can_read_it(
    sum_hospitals_evaluated: SumHospitals, tmp_path: Path
) -> None:
    terms = sum_hospitals_evaluated.terms
    assert terms.evaluation is not None
    said = board(sum_hospitals_evaluated.hospitals["h1"], terms, tmp_path / "board.html")
    own = terms.hospital_noise_stddev(1) / terms.privacy.clip_norm
    helped = ", while at most 1 of the 4 hospitals help the operator"
    least = terms.thresholds.honest_shares
    for fact in (
        f"up to {terms.last_round} times. Each number is a sum over its patients, with this hospital's part",
        f"sees all that leaves{helped}, and guesses",
        f"at most {odds(max(unmasked_epsilon(terms, DELTA).values()), DELTA).right_of_100} are.",
        f" up to {terms.last_round} {terms.contract.layout.width} {own:.3g} times what one patient can add, by this "
        f"hospital; at least {terms.noise_multiplier:.3g} times in any sum over {least} hospitals, on each number",
        f"{terms.table_noise_stddev:.3g} times what one patient can add, by this hospital; at least 20 times",
        "Each list leaves encrypted. While at most 1 of the 4 hospitals help it, the operator's server can read only "
        f"sums over at least {least} hospitals.",
        f"Whoever guesses sees everything that leaves{helped}, and knows all other patients.",
        f"learned from {study_epsilon(terms, DELTA)['training']:.3f}",
    ):
        assert fact in said, fact
    assert own < 0.9 * terms.noise_multiplier
    assert "The operator's server sees each list." not in said


def test_the_boards_page_without_secure_sums_says_all_of_the_noise(
    hospital: Hospital, tmp_path: Path
) -> None:
    said = board(hospital, replace(hospital.terms, study="plain"), tmp_path / "board.html")
    assert "The operator's server sees each list." in said
    assert f" {hospital.terms.noise_multiplier:.3g} times what one patient can add, on each number" in said
    assert "sees all that leaves, and guesses" in said
    assert "up to" not in said.split("What it costs a patient", maxsplit=1)[0]


def test_status_and_ledger_say_what_all_studies_come_to_without_masks(
    ready: SumHospitals, capsys: pytest.CaptureFixture[str]
) -> None:
    home = str(ready.hospitals["h1"].folder)
    ready.hospitals["h1"].stop()
    assert main(["status", "--home", home]) == 0
    assert "without masks" not in capsys.readouterr().out
    for number in (1, 2):
        ready.masked("h1", number)
    ready.hospitals["h1"].stop()
    alone = compose_epsilon([share_of(ready.terms, 2)], DELTA)
    for words, part in (
        (("status",), "without masks"),
        (("status",), f"{alone:.3g}"),
        (("ledger", "show"), f"({alone:.4g} if every mask failed), training account"),
        (("ledger", "verify"), f"; {alone:.6g} if every mask failed"),
    ):
        assert main([*words, "--home", home]) == 0
        assert part in " ".join(capsys.readouterr().out.split())
    assert main(["status", "--home", home, "--json"]) == 0
    budget = json.loads(capsys.readouterr().out)["budget"]
    assert {row["scope"]: row["unmasked"] for row in budget}["for life"] == alone
    assert all(row["unmasked"] > row["spent"] for row in budget)
