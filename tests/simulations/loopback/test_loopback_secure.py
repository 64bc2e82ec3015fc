"""Secure sums over real processes and TLS: kills in set-up and between the trips; what each ledger then holds."""

import json
import re

import polars as pl
import pytest
import yaml

from tests.builders import ROOT
from wardround.client.home.home import load_home
from wardround.simulations.loopback.federation import OPERATOR, Loopback
from wardround.simulations.loopback.secure import HOSPITALS, STUDY, WAITS, await_survivors, survivors_by_slot

pytestmark = [pytest.mark.slow, pytest.mark.flower]

ROUNDS = 3


@pytest.fixture(scope="module")
def loopback(tmp_path_factory):
    with Loopback(tmp_path_factory.mktemp("l"), HOSPITALS) as loopback:
        loopback.provision()
        loopback.introduce()
        draw_arms(loopback)
        settings = loopback.settings(
            STUDY, ROUNDS, "privacy.noise=secure", "secure_sum.threshold=3", evaluation="private"
        )
        loopback.approve(STUDY, *settings)
        loopback.start_server()
        for name in loopback.hospitals:
            loopback.start_hospital(name)
        loopback.start_study(*settings, *WAITS)
        yield loopback


def draw_arms(loopback):
    """Put every patient into an arm, such that one arm has by far the better outcomes, and map the table."""
    for name in loopback.hospitals:
        home = loopback.home(name)
        messages = pl.read_csv(home / "tables/messages.csv", infer_schema=False)
        means = messages.group_by("patient").agg((pl.col("engaged") == "1").mean().alias("mean"))
        drawn = pl.when(pl.col("mean") > 0.5).then(pl.lit("personalised")).otherwise(pl.lit("standard"))
        window = {"since": pl.lit("2000-01-01"), "until": pl.lit("2100-01-01")}
        means.select("patient", drawn.alias("arm"), **window).write_csv(home / "tables/arms.csv")
        mapping = home / "hospital.yaml"
        text = mapping.read_text(encoding="utf-8")
        arms = "tables:\n  arms:\n    path: tables/arms.csv\n"
        mapping.write_text(re.sub(r"(?m)^tables:\n", arms, text), encoding="utf-8")


def entries(loopback, name, kind):
    ledger = load_home(loopback.home(name)).open_ledger()
    try:
        return [entry.fields for entry in ledger.entries() if entry.kind == kind]
    finally:
        ledger.close()


def test_study_and_server_killed_in_set_up_and_between_the_trips_end_with_one_set_of_survivors_a_slot(
    loopback,
):
    loopback.await_event(STUDY, lambda event: event["event"] == "agent", 240)
    loopback.kill("study")
    loopback.start_study(f"--study={STUDY}", *WAITS, word="resume")
    fixed = await_survivors(loopback, 1)
    loopback.kill("study")
    loopback.kill("server")
    loopback.start_server()
    loopback.start_study(f"--study={STUDY}", *WAITS, word="resume")
    fixed_later = await_survivors(loopback, 2)
    loopback.kill("west")
    loopback.start_hospital("west")
    assert loopback.wait_study(300) == 0, loopback.log("study")[-3000:]
    events = loopback.events(STUDY)
    closed = {event["round"]: event for event in events if event["event"] == "round"}
    assert [number for number, event in closed.items() if not event["discarded"]] == list(
        range(1, ROUNDS + 1)
    )
    assert set(closed[1]["accepted"]) == set(fixed)
    assert set(closed[2]["accepted"]) == set(fixed_later)
    # Also in the log: a server that was killed fixed no second set.
    named = {}
    for event in events:
        if event["event"] == "survivors":
            named.setdefault((event["account"], event["round"]), set()).add(tuple(event["survivors"]))
    assert all(len(sets) == 1 for sets in {**named, **survivors_by_slot(loopback)}.values())
    (roster,) = {event["roster"] for event in events if event["event"] == "secure_sum_ready"}
    for name in loopback.hospitals:
        charged = [(fields["account"], fields["round"]) for fields in entries(loopback, name, "charged")]
        took_part = [("training", number) for number, one in closed.items() if name in one["accepted"]]
        assert set(took_part) <= set(charged)
        assert len(charged) == len(set(charged))
        assert [fields["roster"] for fields in entries(loopback, name, "roster")] == [roster]
        loopback.hospital(name, "ledger", "verify", "--json")


def test_a_query_in_a_secure_sum_is_approved_charged_and_tells_the_total_alone(loopback):
    hospitals = ",".join(f"{name}: 500" for name in HOSPITALS)
    settings = (f"hospitals={{{hospitals}}}", "privacy.noise=secure", "reply_delay_seconds=0")
    before = json.loads(loopback.hospital("north", "ledger", "verify", "--json"))["epsilon"]
    said = loopback.ask_query("feasibility", "counts", *settings)
    told = json.loads((loopback.home(OPERATOR) / "studies/counts/feasibility.json").read_text())
    low, high = (told["training_patients"][end] for end in ("low", "high"))
    # Of 1,500 invented patients at each a quarter is held out, and some do not consent.
    assert 0.4 * 1500 * len(HOSPITALS) < low < high < 0.85 * 1500 * len(HOSPITALS)
    assert told["by_hospital"] == {}
    assert "training.public_patients={" in said
    after = json.loads(loopback.hospital("north", "ledger", "verify", "--json"))["epsilon"]
    assert before["training"] < after["training"] < before["training"] + 0.1
    assert before["held_out"] == after["held_out"]


def test_arms_are_compared_in_secure_sums_and_both_accounts_are_charged(loopback):
    plain = yaml.safe_load((ROOT / "conf/contract/synthetic.yaml").read_text(encoding="utf-8"))
    shares = {"standard": 0.5, "personalised": 0.5}
    arms = {"column": "arm", "reference": "standard", "shares": shares, "since": "since", "until": "until"}
    file = loopback.folder / "trial.yaml"
    file.write_text(yaml.safe_dump({**plain, "name": "trial", "arms": arms}), encoding="utf-8")
    hospitals = ",".join(f"{name}: 1000" for name in HOSPITALS)
    before = json.loads(loopback.hospital("north", "ledger", "verify", "--json"))["epsilon"]
    said = loopback.ask_query(
        "uplift", "trial", f"contract_file={file}", f"hospitals={{{hospitals}}}",
        "privacy.noise=secure", "privacy.epsilon=0.3", "reply_delay_seconds=0",
    )  # fmt: skip
    told = json.loads((loopback.home(OPERATOR) / "studies/trial/uplift.json").read_text())
    assert {account: set(names) for account, names in told["hospitals"].items()} == {
        "training": set(HOSPITALS), "held_out": set(HOSPITALS),
    }  # fmt: skip
    (seen,) = told["comparisons"]
    assert 0.2 < seen["low"] < seen["high"] < 1
    assert "personalised − standard: +" in said
    patients = sum(arm["patients"]["value"] for arm in told["arms"])
    assert 0.5 * 1500 * len(HOSPITALS) < patients < 1500 * len(HOSPITALS)
    after = json.loads(loopback.hospital("north", "ledger", "verify", "--json"))["epsilon"]
    for account in ("training", "held_out"):
        assert before[account] < after[account] < before[account] + 0.2
