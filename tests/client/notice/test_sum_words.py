"""What a privacy officer reads of secure sums: the sentences, word for word, with figures computed elsewhere."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.client.notice.test_notice import words_of
from tests.client.sum_hospitals import SumHospitals
from wardround.client.home.home import load_home
from wardround.client.home.peers_folder import keep_peers
from wardround.client.main import main
from wardround.client.notice.sum_words import SumFacts, gather_sums, roster_lines, sum_sentences
from wardround.client.policy.peers import KnownMembers
from wardround.client.policy.policy import Forecast, Policy
from wardround.protocol.privacy.accounting import compose_epsilon
from wardround.protocol.terms.cost import events, study_epsilon, two_hospitals_epsilon, unmasked_epsilon
from wardround.protocol.terms.request import UPDATE
from wardround.protocol.wire.peer_file import sign_peers
from wardround.protocol.wire.roster_phrase import ScryptCost, roster_phrase
from wardround.protocol.wire.signed_terms import save_terms, sign_terms

CHEAP = ScryptCost(n=2, r=1, p=1)


def test_the_sentences_word_for_word() -> None:
    facts = SumFacts(
        hospitals=20,
        known=KnownMembers(("a", "b", "c"), tuple(f"v{n}" for n in range(16)), ("x",)),
        colluding=2,
        honest=13,
        epsilon=1.0,
        unmasked=4.20812,
        unmasked_ever=11.2345,
        two_hospitals=2.155,
        words="one two three four five six seven eight",
    )
    assert " ".join(sum_sentences(facts)) == (
        "20 hospitals. You know 3 of them yourself, 16 by more than 2 others, 1 not: they count as helpers of the "
        "operator. If no more than 2 of the 20 help the operator (or were broken into, copied or restored), the "
        "operator sees only sums of at least 13 hospitals: ε = 1. If more do, or the encryption is broken one day: "
        "ε = 4.208; and with all that ever left this hospital, once this study has ended: ε = 11.23. A patient at two "
        "hospitals: ε = 2.155."
    )
    lines = roster_lines(facts)
    assert "Not known: x." in lines
    assert any(line.endswith("one two three four five six seven eight") for line in lines)


def test_the_figures_are_those_of_the_study(hospitals: SumHospitals) -> None:
    terms = hospitals.terms
    cost = study_epsilon(terms, 1e-5)["training"]
    signed, ledger = sign_terms(terms, hospitals.operator), hospitals.hospitals["h1"].agent._ledger
    facts = gather_sums(Policy(delta=1e-5), signed, Forecast(cost, 0.0, ()), ledger, CHEAP)
    assert facts is not None
    assert terms.secure_sum is not None
    assert (facts.hospitals, facts.colluding, facts.honest) == (4, 1, terms.thresholds.honest_shares)
    assert facts.epsilon == cost
    assert facts.unmasked == unmasked_epsilon(terms, 1e-5)["training"] > cost
    assert facts.unmasked_ever == facts.unmasked
    assert facts.two_hospitals == two_hospitals_epsilon(terms, 1e-5)
    # Of one share alone, and of the whole sum with both of a person's clip norms.
    shares = terms.update_noise(1).shares
    (alone,) = events(terms, UPDATE)
    for epsilon, multiplier in (
        (facts.unmasked, shares.multiplier(1)),
        (facts.two_hospitals, shares.multiplier(facts.honest, at_hospitals=2)),
    ):
        event = type(alone)(multiplier, alone.sampling_rate, alone.count)
        assert epsilon == pytest.approx(compose_epsilon([event], 1e-5), rel=1e-3)
    assert facts.words == roster_phrase(terms.secure_sum.members, CHEAP)
    assert asdict(facts)["known"]["unknown"] == ("h1", "h2", "h3", "h4")


def test_where_accounts_add_up_so_do_the_unmasked(hospitals: SumHospitals) -> None:
    cost = study_epsilon(hospitals.terms, 1e-5)["training"]
    signed, ledger = sign_terms(hospitals.terms, hospitals.operator), hospitals.hospitals["h1"].agent._ledger
    one, joined = (
        gather_sums(Policy(delta=1e-5), signed, Forecast(cost, 0.0, (), joining), ledger, CHEAP)
        for joining in (False, True)
    )
    assert one is not None
    assert joined is not None
    assert joined.unmasked == pytest.approx(one.unmasked)  # this study evaluates nothing
    assert joined.two_hospitals >= one.two_hospitals


@pytest.fixture
def asked(hospitals: SumHospitals, tmp_path: Path) -> tuple[SumHospitals, Path]:
    """h1 knows h2 and h3, who vouch for h4; and the study's signed terms."""
    one = hospitals.hospitals["h1"]
    all_of_them = hospitals.policy("h1")["peers"]
    one.write_policy(peers={name: all_of_them[name] for name in ("h2", "h3")})
    home = load_home(one.folder)
    now = datetime.now(UTC)
    for name in ("h2", "h3"):
        key = hospitals.hospitals[name].key
        keep_peers(
            home.peers_folder, sign_peers(name, {"h4": hospitals.hospitals["h4"].key.public}, now, key), now
        )
    one.stop()
    file = tmp_path / "tea.terms"
    save_terms(sign_terms(hospitals.terms, hospitals.operator), file)
    return hospitals, file


def approve(asked: tuple[SumHospitals, Path], *more: str) -> int:
    hospitals, file = asked
    folder = hospitals.hospitals["h1"].folder
    last = str([e.sequence for e in hospitals.hospitals["h1"].agent._ledger.entries()][-1])
    hospitals.hospitals["h1"].stop()
    words = ("--reason", "board", "--person", "officer", "--yes", "--last-entry", last)
    return main(["approve", str(file), "--home", str(folder), *words, *more])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words' cost is held in tests/protocol/wire/test_roster_phrase.py; here they are many."""
    monkeypatch.setattr(
        "wardround.client.notice.sum_words.roster_phrase", lambda members, cost: roster_phrase(members, CHEAP)
    )


def test_approve_says_them_and_json_has_them(asked: tuple[SumHospitals, Path], capsys) -> None:
    assert approve(asked) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "4 hospitals. You know 3 of them yourself, 1 by more than 1 other, 0 not: they count as helpers"
        in said
    )
    assert "If no more than 1 of the 4 help the operator" in said
    assert "Known by others' word alone: h4." in said
    terms = asked[0].terms
    assert terms.secure_sum is not None
    assert roster_phrase(terms.secure_sum.members, CHEAP) in said
    assert approve(asked, "--json") == 0
    plain = json.loads(capsys.readouterr().out)["secure_sum"]
    assert plain["known"] == {
        "direct": ["h1", "h2", "h3"],
        "by_vouchers": ["h4"],
        "unknown": [],
        "replaced": [],
    }
    assert len(plain["sentences"]) == 4


def test_the_words_that_a_meeting_heard_are_compared(asked: tuple[SumHospitals, Path], capsys) -> None:
    terms = asked[0].terms
    assert terms.secure_sum is not None
    right = roster_phrase(terms.secure_sum.members, CHEAP)
    before = len(asked[0].hospitals["h1"].entries("approved"))
    for heard, says in (
        (" ".join(right.split()[:4]), "must be all 8 words"),
        (" ".join(reversed(right.split())), "somebody has another roster"),
    ):
        assert approve(asked, "--roster", heard) == 2
        assert says in capsys.readouterr().err
    assert len(asked[0].hospitals["h1"].entries("approved")) == before
    assert approve(asked, "--roster", right) == 0


def test_the_boards_page_says_them(asked: tuple[SumHospitals, Path], tmp_path: Path) -> None:
    assert approve(asked, "--page", str(tmp_path / "board.html")) == 0
    said = words_of((tmp_path / "board.html").read_text(encoding="utf-8"))
    assert "Whom its sums stand on" in said
    assert "4 hospitals. You know 3 of them yourself, 1 by more than 1 other, 0 not" in said
    assert "the operator sees only sums of at least" in said


def test_a_study_without_secure_sums_has_none_of_it(hospital, tmp_path: Path, capsys) -> None:
    signed = sign_terms(hospital.terms, hospital.operator)
    assert gather_sums(Policy(delta=1e-5), signed, Forecast(1.0, 0.0, ()), hospital.agent._ledger) is None
    file = tmp_path / "tea.terms"
    save_terms(sign_terms(hospital.terms, hospital.operator), file)
    page = tmp_path / "board.html"
    assert main(["approve", str(file), "--home", str(hospital.folder), "--page", str(page)]) == 0
    assert "sums stand on" not in page.read_text(encoding="utf-8")
    code = main(
        ["approve", str(file), "--home", str(hospital.folder), "--reason", "x", "--yes", "--roster", "a"]
    )
    assert code == 2
    assert "has no secure sums" in capsys.readouterr().err
