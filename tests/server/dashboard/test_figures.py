"""Every figure on the operator's pages is the event log's, or what ``status`` says."""

import random
from collections import Counter
from typing import Any

import pytest

from tests.pages.tables import Tables
from tests.server.watch.watched_home import HOSPITALS, begin_study, close_round
from wardround.protocol.terms.cost import study_epsilon
from wardround.protocol.wire.signed_terms import load_terms
from wardround.protocol.wire.speaker import speaker_to_mapping, this_speaker
from wardround.server.dashboard.studies import PAGE
from wardround.server.store.event_log import EVALUATED, VOID, read_events
from wardround.server.watch import alerts
from wardround.server.watch.attendance import NOT_APPROVED
from wardround.server.watch.standing import standing

KINDS = ("accepted", "missing", "refused")


def write_rounds(log: Any, seed: int, rounds: int) -> list[dict[str, str]]:
    """Close rounds in which each hospital answers as a seed has it."""
    rng = random.Random(seed)
    drawn = [{name: rng.choice(KINDS) for name in HOSPITALS} for _ in range(rounds)]
    for number, kinds in enumerate(drawn, 1):
        by = {kind: tuple(name for name in HOSPITALS if kinds[name] == kind) for kind in KINDS}
        refused = dict.fromkeys(by["refused"], "refused: max_rounds")
        close_round(log, number, by["accepted"], refused, by["missing"])
    return drawn


def estimate(value: float | None) -> dict[str, float | None]:
    low, high = (None, None) if value is None else (value - 0.05, value + 0.05)
    return {"value": value, "low": low, "high": high, "noise": 0.01, "sampling": 0.02}


def shown(value: float) -> str:
    return f"{value:.3f} [{value - 0.05:.3f}, {value + 0.05:.3f}]"


@pytest.mark.parametrize("seed", range(3))
def test_a_studys_page_agrees_with_its_event_log_to_the_number(dashboard, browse, seed: int) -> None:
    drawn = write_rounds(begin_study(dashboard.home), seed, 25)
    answers, rounds = Tables(browse().get("/studies/tea").text).found[:2]
    for name in HOSPITALS:
        tally = Counter(kinds[name] for kinds in drawn)
        told = [answers[name][label] for label in ("In the round", "Rounds missed", "Refused")]
        assert told == [str(tally[kind]) for kind in ("accepted", "missing", "refused")]
    assert list(rounds) == [str(number) for number in range(25, 0, -1)]
    for number, kinds in enumerate(drawn, 1):
        row = rounds[str(number)]
        came = {kind: [name for name in HOSPITALS if kinds[name] == kind] for kind in KINDS}
        assert row["In the round"] == (", ".join(came["accepted"]) or "–")
        assert row["No answer"] == ", ".join(came["missing"])
        assert row["Refused"] == "; ".join(f"{name}: refused: max_rounds" for name in came["refused"])
    times = [event["time"] for event in read_events(dashboard.home.study("tea").events)[1:]]
    assert [rounds[str(n)]["Closed at"] for n in range(1, 26)] == [t[:16].replace("T", " ") for t in times]


@pytest.mark.parametrize("seed", range(2))
def test_hospitals_agree_with_the_event_logs_and_the_server(dashboard, browse, seed: int) -> None:
    drawn = write_rounds(begin_study(dashboard.home), seed, 25)
    page = browse().get("/hospitals").text
    (rows,) = Tables(page).found
    assert list(rows) == sorted(HOSPITALS)
    for name, row in rows.items():
        took = [number for number, kinds in enumerate(drawn, 1) if kinds[name] == "accepted"]
        assert row["Rounds missed"] == str(sum(kinds[name] == "missing" for kinds in drawn))
        assert row["Last round"] == f"tea, round {took[-1]}"
        assert row["Connected since"] == ("not connected" if name == "west" else "2026-11-01 08:30")
        assert row["Clock ahead"] == "–"
    assert "The server at 127.0.0.1:8443 runs." in page
    assert str(this_speaker()) in page


def test_a_release_and_an_approval_that_waits_are_shown(dashboard, browse) -> None:
    log = begin_study(dashboard.home)
    log.write("agent", hospital="west", **speaker_to_mapping(this_speaker()))
    log.write("below_quorum", round=1, accepted=["north"], rejected={"west": NOT_APPROVED}, missing=["south"])
    (rows,) = Tables(browse().get("/hospitals").text).found
    assert [rows[name]["Has yet to decide on"] for name in HOSPITALS] == ["–", "–", "tea"]
    assert [rows[name]["Release"] for name in HOSPITALS] == ["–", "–", str(this_speaker())]


def test_studies_show_rounds_cost_auc_and_the_next_step(dashboard, browse) -> None:
    log = begin_study(dashboard.home)
    close_round(log, 3, HOSPITALS, {}, ())
    log.write(EVALUATED, round=2, mitigated=False, auc=estimate(0.61), log_loss=estimate(0.5))
    log.write(EVALUATED, round=3, mitigated=False, auc=estimate(0.7), log_loss=estimate(0.4))
    terms = load_terms(dashboard.home.study("tea").terms).terms
    epsilon = {name: value for name, value in study_epsilon(terms, terms.privacy.delta).items() if value}
    assert epsilon
    browser = browse()
    (rows,) = Tables(browser.get("/studies").text).found
    assert rows["tea"]["Rounds closed"] == f"3 of {terms.training.rounds}"
    assert rows["tea"]["AUC with its interval"] == shown(0.7)
    assert all(
        f"ε = {value:.3g} for patients" in rows["tea"]["Cost in full, per patient"]
        for value in epsilon.values()
    )
    (plain,) = standing(dashboard.home)["studies"]
    assert rows["tea"]["Next step"] == plain["next_step"]
    found = Tables(browser.get("/studies/tea").text).found[-1]
    assert {key: row["AUC with its interval"] for key, row in found.items()} == {
        "2": shown(0.61),
        "3": shown(0.7),
    }
    assert found["3"]["Log loss"] == shown(0.4)


def test_what_was_lost_in_noise_is_said_and_an_evaluation_asked_for_twice_is_one(dashboard, browse) -> None:
    log = begin_study(dashboard.home)
    for value in (0.6, None):
        log.write(EVALUATED, round=2, mitigated=False, auc=estimate(value), log_loss=estimate(0.5))
    found = Tables(browse().get("/studies/tea").text).found[-1]
    assert [row["AUC with its interval"] for row in found.values()] == ["lost in noise"]


def test_the_comparison_counts_answers_void_sums_and_verdicts(dashboard, browse) -> None:
    for name, verdict in (("tea", False), ("coffee", True)):
        log = begin_study(dashboard.home, name)
        close_round(log, 1, HOSPITALS[:2], {}, HOSPITALS[2:])
        close_round(log, 2, HOSPITALS[:1], {"south": "refused: max_rounds"}, HOSPITALS[2:])
        log.write(VOID, account="training", round=2)
        log.write("finished", releasable=verdict, rounds=2)
    (rows,) = Tables(browse().get("/comparison").text).found
    assert list(rows) == ["coffee", "tea"]
    assert {row["Answers that came"] for row in rows.values()} == {"3 of 6"}
    assert {row["Sums that gave nothing"] for row in rows.values()} == {"1"}
    assert [row["Model"] for row in rows.values()] == ["releasable", "not releasable"]


def test_alerts_are_those_that_alerts_list_shows(dashboard, browse) -> None:
    close_round(begin_study(dashboard.home), 1, ("north",), {}, ("south",))
    page = browse().get("/alerts").text
    stand = alerts.stand(dashboard.home.folder, dashboard.now)
    assert {one.event for one in stand} == {"round_missed", "hospital_away", "study_stopped"}
    for one in stand:
        assert f"<code>{one.event}</code> {one.text.replace(chr(39), '&#39;')}" in page
    assert page.count("<code>") == len(stand)


def test_certificates_show_whole_days(dashboard, browse) -> None:
    (rows,) = Tables(browse().get("/certificates").text).found
    days = standing(dashboard.home, dashboard.now)["certificate_days_left"]
    assert {name: row["Whole days left"] for name, row in rows.items()} == {
        k: str(v) for k, v in days.items()
    }


def test_a_look_is_kept_for_seconds_and_then_taken_anew(dashboard, browse) -> None:
    log, browser = begin_study(dashboard.home), browse()
    assert Tables(browser.get("/studies").text).found[0]["tea"]["Rounds closed"].startswith("0 of")
    close_round(log, 1, HOSPITALS, {}, ())
    assert Tables(browser.get("/studies").text).found[0]["tea"]["Rounds closed"].startswith("0 of")
    assert "As of 2026-11-29 12:00 UTC" in browser.get("/studies").text
    dashboard.wait(60)
    page = browser.get("/studies").text
    assert Tables(page).found[0]["tea"]["Rounds closed"].startswith("1 of")
    assert "As of 2026-11-29 12:01 UTC" in page


def test_rounds_are_shown_page_by_page_none_left_out(dashboard, browse) -> None:
    log = begin_study(dashboard.home)
    for number in range(1, 2 * PAGE + 4):
        close_round(log, number, HOSPITALS, {}, ())
    browser, path, seen = browse(), "/studies/tea", []
    while path:
        page = browser.get(path).text
        seen += list(Tables(page).found[1])
        _, _, rest = page.partition(">Older rounds</a>")[0].rpartition('href="')
        path = rest.rstrip('"') if ">Older rounds</a>" in page else ""
    assert seen == [str(number) for number in range(2 * PAGE + 3, 0, -1)]
    newer = browser.get(f"/studies/tea?before={PAGE + 4}").text
    assert ">Newer rounds</a>" in newer
    assert browser.get("/studies/tea?before=x").text.count('scope="row"') == browser.get(
        "/studies/tea"
    ).text.count('scope="row"')


def test_terms_that_cannot_be_read_are_said_and_the_other_studies_shown(dashboard, browse) -> None:
    begin_study(dashboard.home)
    begin_study(dashboard.home, "coffee")
    dashboard.home.study("coffee").terms.write_bytes(b"torn")
    browser = browse()
    (rows,) = Tables(browser.get("/studies").text).found
    assert rows["coffee"]["Cost in full, per patient"] == "no readable terms"
    assert rows["tea"]["Cost in full, per patient"].startswith("ε = ")
    assert browser.get("/studies/coffee").status_code == 200


def test_a_home_that_cannot_be_read_is_said_by_its_remedy(dashboard, browse) -> None:
    browser = browse()
    dashboard.home.tls("server.crt").write_bytes(b"torn")
    dashboard.wait(60)
    page = browser.get("/hospitals")
    assert page.status_code == 409
    assert "wardround-serve renew" in page.text
