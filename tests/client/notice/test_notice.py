"""The notice is true: each stated fact follows the contract, the policy and the ledger, and changes with them."""

import html
import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import small_contract
from wardround.client.main import main
from wardround.client.notice.odds import OUTSIDERS_NAMED, odds
from wardround.client.notice.words import used_features
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.privacy.gaussian_dp import gaussian_epsilon
from wardround.protocol.wire.signed_terms import save_terms, sign_terms

Notice = Callable[..., str]


class Text(HTMLParser):
    """The words of a page, and whatever it would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.loads: list[str] = []
        self._quiet = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._quiet = tag == "style"
        names = dict(attrs)
        if tag in ("script", "link", "iframe", "img", "object") or {"src", "href", "onload", "onclick"} & set(
            names
        ):
            self.loads.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._quiet = False

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self.words.append(data)


class Sentences(HTMLParser):
    """What a patient reads, sentence by sentence: paragraphs and lists, without the page's foot."""

    def __init__(self) -> None:
        super().__init__()
        self.sentences: list[str] = []
        self._block: list[str] | None = None
        self._foot = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._foot = self._foot or tag == "footer"
        if tag in ("p", "li") and not self._foot:
            self._block = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "li") and self._block is not None:
            text = " ".join("".join(self._block).split())
            self.sentences += [part for part in re.split(r"(?<=[.?!:])\s+", text) if part]
            self._block = None

    def handle_data(self, data: str) -> None:
        if self._block is not None:
            self._block.append(data)


def words_of(page: str) -> str:
    reader = Text()
    reader.feed(page)
    return " ".join(" ".join(reader.words).split())


@pytest.fixture
def write(hospital, tmp_path: Path) -> Callable[..., str]:
    """Write the notice and give the page as it stands in the file."""
    count = iter(range(100))

    def page(*arguments: str) -> str:
        out = tmp_path / f"notice-{next(count)}.html"
        assert main(["notice", str(out), "--home", str(hospital.folder), "--json", *arguments]) == 0
        return out.read_text(encoding="utf-8")

    return page


@pytest.fixture
def read(write: Callable[..., str]) -> Notice:
    return lambda *arguments: words_of(write(*arguments))


def approve(hospital, terms=None) -> None:
    terms = terms or hospital.terms
    path = hospital.folder / f"{terms.fingerprint}.given"
    save_terms(sign_terms(terms, hospital.operator), path)
    entries = hospital.agent._ledger.entries()
    last = str([entry for entry in entries if entry.kind != "refused"][-1].sequence)
    hospital.stop()
    word = ["approve", str(path), "--home", str(hospital.folder), "--reason", "ok"]
    assert main([*word, "--yes", "--last-entry", last, "--json"]) == 0


def test_without_a_study_it_says_that_nothing_is_learned(read: Notice) -> None:
    said = read()
    assert "At this time, no study learns from our patients." in said
    assert "We have not allowed anybody to learn from our patients." in said
    assert "At most 50 of 100 such guesses are right." in said
    assert "So far, nothing has left, so the odds stay the same." in said


def test_the_study_the_operator_and_the_dates_are_the_ledgers(hospital, read: Notice, terms_with) -> None:
    hospital.terms = terms_with(study="spring-tea", expires_at="2090-05-01T00:00:00+00:00")
    approve(hospital)
    said = read()
    approved = hospital.entries("approved")[0].time
    for fact in (
        "spring-tea running Purpose: engagement Proposed by: consortium",
        f"Approved by one of us on {approved:%-d %B %Y}",
        "Until: 1 May 2090",
        "0 of 12 rounds so far. 0 lists of totals have left.",
        "The study spring-tea may learn until 1 May 2090. Then we delete our copies of what left.",
    ):
        assert fact in said


def test_what_is_used_is_every_feature_of_the_contract_in_its_bands(hospital, read: Notice) -> None:
    approve(hospital)
    said = read()
    for fact in (
        "age never the exact value, only a band: under 20 · 20 to under 40 · 40 to under 60 · 60 or more",
        "channel one of sms or email; anything else counts as “other”",
        "topic one of screening or maternity",
        "past how many earlier messages you acted on, only a band: 0 · 1 · 2 or more",
        "We read that in your record, under “opened”.",
        "We use your data for one purpose, “engagement”. We do so only if you agreed to it, "
        "and only as long as you agree.",
        "We use messages of the last 7300 days and leave out older ones.",
        "A message drops out 7300 days after the decision to send it.",
        "We use at most 4 of your messages. If there are more, chance picks which.",
        "If you chose topics, we use only messages on those.",
        "We use messages on maternity only if you said yes to that topic by name.",
        "You can also say no to a single topic alone.",
    ):
        assert fact in said


def test_what_is_not_used_is_everything_beyond_the_columns_that_are_read(hospital, read: Notice) -> None:
    approve(hospital)
    said = read()
    contract = hospital.terms.contract
    assert (
        "reads 6 columns of the messages, 2 columns of the patients and 6 columns of the consents, and no others"
        in said
    )
    for table in ("messages", "patients", "consents"):
        assert f"Columns that we read of the {table}: {', '.join(contract.columns(table))}." in said
    assert (
        "We never learn from the messages of one patient in four. Chance chose them once, for good." in said
    )


def test_a_contract_without_consent_topics_or_retention_says_so(hospital, read: Notice, terms_with) -> None:
    plain = {
        "consent": {"required": False, "basis": "public interest, by law 12"},
        "topic": None,
        "retention_days": None,
    }
    features = {"steps": {"kind": "numeric", "column": "steps", "range": [0, 100], "source": "wearable"}}
    path = hospital.folder / "messages.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{lines[0]},steps", *(f"{line},5" for line in lines[1:])]) + "\n")
    hospital.terms = terms_with(contract={**plain, "features": features})
    contracts = [hospital.terms.contract.fingerprint]
    hospital.write_policy(require_consent=False, contracts=contracts, features=[])
    approve(hospital)
    said = read()
    for fact in (
        "We do not ask you first. If you say no to it, we leave you out.",
        "Our basis for this: public interest, by law 12.",
        "We use messages of any age. This study sets no limit.",
        "We use values from “wearable” only if you said yes to that source. If not, we treat them as missing.",
        "steps only with your yes as a number between 0 and 100",
        "If you have said no, we make no prediction about you from this result.",
    ):
        assert fact in said
    assert "If you chose topics" not in said
    assert "only if you agreed" not in said


def test_how_much_is_the_ledgers_epsilon_in_guesses_and_odds(hospital, read: Notice) -> None:
    approve(hospital)
    for number in (1, 2, 3):
        hospital.released(number)
    hospital.stop()
    epsilon = compose_epsilon([PrivacyEvent(hospital.terms.noise_multiplier, 1.0, 3)], 1e-5)
    so_far, ever, study = odds(epsilon, 1e-5), odds(5.0, 1e-5), odds(1.0, 1e-5)
    said = read()
    for fact in (
        f"At most {so_far.right_of_100} of 100 such guesses are right.",
        f"{so_far.right_of_100} of 100 right, at most, from all that has left so far",
        f"{ever.right_of_100} of 100 right, at most, once everything has left that our present limits allow",
        f"So far, the odds grow to at most {so_far.times:.1f} times what they were",
        f"One study may multiply them by up to {study.times:.1f}, and all studies ever by up to {ever.times:.1f}.",
        f"ε = {epsilon:.3g} so far, at most 5 over all studies, δ = 10⁻⁵.",
        "It is not the chance that it happens, which is larger.",  # test_accounting.py
        "At that limit we stop, unless we raise it.",
        f"at most {odds(10.0, (1 + math.exp(5.0)) * 1e-5).right_of_100} of 100 guesses about you are right.",
        "3 of 12 rounds so far. 3 lists of totals have left. One round's list holds "
        f"{hospital.terms.contract.layout.width} numbers.",
    ):
        assert fact in said
    assert 50 < so_far.right_of_100 < study.right_of_100 < ever.right_of_100


def test_a_declined_or_expired_study_has_ended_and_what_it_learned_still_counts(
    hospital, read: Notice
) -> None:
    approve(hospital)
    hospital.released()
    hospital.stop()
    before = read()
    assert main(["decline", "tea", "--home", str(hospital.folder), "--reason", "no", "--json"]) == 0
    said = read()
    assert "tea ended" in said
    assert "tea running" not in said
    assert "At this time, no study learns from our patients." in said
    share = re.compile(r"At most (\d+) of 100 such guesses")
    assert share.findall(said) == share.findall(before) != ["50"]


def test_a_study_that_was_charged_all_its_plans_has_ended(hospital, read: Notice, terms_with) -> None:
    terms = terms_with(training={"rounds": 2})
    approve(hospital, terms)
    hospital.released(1, terms)
    assert "tea running" in read()
    hospital.released(2, terms)
    assert "tea ended" in read()


def test_who_decides_follows_the_policy(hospital, read: Notice) -> None:
    approve(hospital)
    assert "A person at north decides on each one." in read()
    hospital.write_policy(require_approval=False)
    assert "At present, none of us has to approve a study that keeps to our limits." in read()


def test_it_names_whom_to_ask_and_what_saying_no_can_and_cannot_do(hospital, read: Notice) -> None:
    approve(hospital)
    said = read("--contact", "the privacy office, 555 0100", "--name", "North Hospital")
    for fact in (
        "For patients of North Hospital",
        "Ask the privacy office, 555 0100 . You need not give a reason.",
        "From the next computation on, we learn nothing more from you.",  # test_agent_consent.py
        "Each total is computed with the answers that hold at that time.",  # test_agent_consent.py
        "We cannot call back totals that have left. We may send them once more, exactly as they were.",
        "Your care does not depend on it.",
        "If you have not agreed, we make no prediction about you from this result.",  # test_score.py
    ):
        assert fact in said


def test_it_can_be_traced_to_what_it_was_written_from(hospital, read: Notice) -> None:
    import hashlib

    approve(hospital)
    said = read()
    assert hospital.terms.contract.fingerprint in said
    assert hashlib.sha256((hospital.folder / "policy.yaml").read_bytes()).hexdigest() in said
    assert f"Ledger head: {hospital.entries('approved')[0].hash}" in said


def test_a_study_whose_terms_are_lost_stops_the_page(hospital, approved, tmp_path: Path, capsys) -> None:
    hospital.released()
    hospital.stop()
    assert main(["notice", str(tmp_path / "n.html"), "--home", str(hospital.folder)]) == 2
    assert "terms" in capsys.readouterr().err
    assert not (tmp_path / "n.html").exists()


def test_the_page_loads_and_runs_nothing(hospital, write: Callable[..., str]) -> None:
    approve(hospital)
    page = write()
    reader = Text()
    reader.feed(page)
    assert reader.loads == []
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_its_sentences_are_short(hospital, write: Callable[..., str]) -> None:
    approve(hospital)
    reader = Sentences()
    reader.feed(write())
    lengths = [len(sentence.split()) for sentence in reader.sentences]
    assert len(lengths) > 50
    assert max(lengths) <= 30
    assert sum(length > 20 for length in lengths) <= len(lengths) / 10


def test_what_an_operator_names_cannot_become_markup(hospital, write: Callable[..., str], terms_with) -> None:
    topic = {"column": "topic", "sensitive": ["<script>alert(1)</script>"]}
    hospital.terms = terms_with(contract={"consent": {"basis": "<b onclick=x>"}, "topic": topic})
    approve(hospital)
    page = write("--contact", "<img src=x>", "--name", "<i>North</i>")
    for markup in ("<script>alert", "<b onclick", "<img src", "<i>North"):
        assert markup not in page
        assert html.escape(markup) in page


def test_it_never_overwrites_and_json_holds_its_facts(hospital, tmp_path: Path, capsys) -> None:
    out = tmp_path / "notice.html"
    assert main(["notice", str(out), "--home", str(hospital.folder), "--json"]) == 0
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (facts["hospital"], facts["studies"], facts["so_far"]["right_of_100"]) == ("north", [], 50)
    before = out.read_bytes()
    assert main(["notice", str(out), "--home", str(hospital.folder)]) == 2
    assert out.read_bytes() == before


def normal_tail(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2


@given(st.floats(0.05, 4.0), st.sampled_from([1e-3, 1e-5, 1e-8]))
def test_no_guess_and_no_test_against_gaussian_noise_beats_what_the_page_says(
    shift: float, delta: float
) -> None:
    """The best attack on a Gaussian release is known exactly (Dong, Roth and Su 2019, theorem 2.7)."""
    said = odds(gaussian_epsilon(shift, delta), delta)
    assert 100 * normal_tail(-shift / 2) <= said.right_of_100 + 1e-9
    threshold = 2.32634788  # a little above the normal's 99 % point
    assert normal_tail(threshold) <= OUTSIDERS_NAMED
    named = normal_tail(threshold - shift)
    assert named / OUTSIDERS_NAMED <= said.times + 1e-6


def test_nothing_spent_is_a_coins_toss_and_one_is_74_of_100() -> None:
    assert (odds(0.0, 1e-5).right_of_100, odds(0.0, 1e-5).times) == (50, 1.0)
    assert (odds(1.0, 1e-5).right_of_100, odds(1.0, 1e-5).times) == (74, 2.8)
    assert odds(50.0, 1e-5).right_of_100 == odds(1e9, 1e-5).right_of_100 == 100


def test_assessments_and_history_by_channel_are_said_in_words() -> None:
    features = {
        "risk": {"kind": "categorical", "table": "assessments", "column": "category", "vocabulary": ["low", "high"],
                 "source": "assessment"},
        "channel": {"kind": "categorical", "column": "channel", "vocabulary": ["sms"]},
        "own": {"kind": "history", "statistic": "rate", "by": "channel", "edges": [0.5]},
    }  # fmt: skip
    contract = contract_from_mapping(
        small_contract(
            features=features,
            groups=[],
            crosses=[],
            decided_at="sent",
            outcome_at="due",
            assessed_at="answered",
        )
    )
    (risk,) = used_features(contract, "assessments")
    assert (risk.source, risk.how) == ("assessment", "one of low or high; anything else counts as “other”")
    (own,) = used_features(contract, None, "you")
    assert own.how.startswith(
        "the share of earlier messages that you acted on, among those with the same channel"
    )


def test_the_hospital_says_how_things_are_called(hospital, read: Notice) -> None:
    approve(hospital)
    assert "Proposed by: consortium" in read()
    (hospital.folder / "notice.yaml").write_text(
        "name: North Hospital\ncontact: 'the office, 555 0100'\nabout: appointments\n"
        "operators: {consortium: Northern Health Consortium}\nunits: {age: years}\n"
    )
    said = read()
    for fact in (
        "For patients of North Hospital",
        "Ask the office, 555 0100 .",
        "Proposed by: Northern Health Consortium",
        "We use at most 4 of your appointments.",
        "40 to under 60 · 60 or more, in years",
        "how many earlier appointments you acted on",
        "An appointment drops out 7300 days after it was booked.",
        "We learn when an appointment is followed by what it was meant for.",
    ):
        assert fact in said
    assert "For patients of Other" in read("--name", "Other")


@pytest.mark.parametrize("text", ["about: visits\n", "surname: x\n", "units: [years]\n"])
def test_a_fault_in_how_things_are_called_is_told(hospital, tmp_path, capsys, text: str) -> None:
    (hospital.folder / "notice.yaml").write_text(text)
    capsys.readouterr()
    assert main(["notice", str(tmp_path / "x.html"), "--home", str(hospital.folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("notice.yaml.")
    assert error.count("\n") == 1
