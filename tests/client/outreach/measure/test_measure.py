"""``outreach measure`` finds the effect that is there, says what it may not say, and counts by drawn arm."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from tests.client.outreach.measure.test_protocol import SIGN
from tests.client.outreach.measure.trials import PATIENTS, PROTOCOL, set_date, write_outcomes, write_protocol
from wardround.client.home.home import load_home
from wardround.client.outreach.journal.journal import open_journal
from wardround.client.outreach.measure.arms import drawn_arms


@pytest.fixture
def measured(trial) -> Any:
    def run(**changes: Any) -> Any:
        write_protocol(trial, **changes)
        assert trial.run(*SIGN)[0] == 0
        write_outcomes(trial)
        code, said, error = trial.run("measure")
        assert code == 0, error
        return said

    return run


def arm_of(trial: Any, patients: list[str]) -> tuple[str, ...]:
    return drawn_arms(patients, load_home(trial.folder).patients_key, "attend", PROTOCOL["arms"])


def test_the_difference_is_that_of_each_patients_mean_by_drawn_arm(trial, measured) -> None:
    said = measured()
    assert sum(said["counted"].values()) == said["ended"] == PATIENTS
    assert said["ratio"] > 0.01
    (primary,) = said["comparisons"]
    assert (primary["first"], primary["second"]) == ("personalised", "standard")
    assert primary["low"] < 0.25 < primary["high"]
    assert primary["p_value"] < 0.01
    # Once more, from the table alone.
    visits = pl.read_csv(trial.folder / "appointments.csv").filter(pl.col("status") != "cancelled")
    each = visits.group_by("patient").agg((pl.col("status") == "fulfilled").mean().alias("mean"))
    means = each.with_columns(arm=pl.Series(arm_of(trial, each["patient"].to_list())))
    by_arm = dict(means.group_by("arm").agg(pl.col("mean").mean()).iter_rows())
    assert primary["found"]["difference"] == pytest.approx(by_arm["personalised"] - by_arm["standard"])


def test_who_has_no_outcome_counts_as_the_protocol_says(trial, measured) -> None:
    said = measured(outcome={**PROTOCOL["outcome"], "without": "no"})
    assert sum(said["comparisons"][0]["found"]["patients"]) == PATIENTS
    assert said["comparisons"][0]["found"]["means"][1] < 0.5


def test_groups_are_told_with_intervals_that_hold_together(trial, measured) -> None:
    said = measured()
    groups = {one["group"]: one for one in said["groups"]}
    assert groups.keys() == {"age: under 40", "age: 40 or more"}
    (primary,) = said["comparisons"]
    width = primary["high"] - primary["low"]
    assert all(one["high"] - one["low"] > width for one in groups.values())
    assert sum(sum(one["found"]["patients"]) for one in groups.values()) == sum(primary["found"]["patients"])


def test_only_windows_that_have_ended_count(trial, measured) -> None:
    measured()
    set_date(trial, "2026-11-20T08:00:00+00:00")
    said = trial.run("measure")[1]
    made = datetime(2026, 11, 20, tzinfo=UTC)
    with open_journal(trial.folder) as journal:
        early = [
            one for one in journal.proposals() if (made.date() - one.made_at.date()).days >= 15
        ]  # fourteen days, and the day after
    assert said["ended"] == len(early) < PATIENTS


def test_before_the_first_planned_look_nothing_is_told_and_between_looks_nothing_new(trial, measured) -> None:
    measured(looks=["2026-12-01", "2026-12-18"])
    set_date(trial, "2026-11-30T08:00:00+00:00")
    said = trial.run("measure")[1]
    assert (said["look"], said["comparisons"]) == (None, [])
    looks = []
    for day in ("2026-12-01", "2026-12-17", "2026-12-18"):
        set_date(trial, f"{day}T08:00:00+00:00")
        looks.append(trial.run("measure")[1])
    assert looks[0]["comparisons"] == looks[1]["comparisons"] != looks[2]["comparisons"]
    widths = [one["comparisons"][0]["high"] - one["comparisons"][0]["low"] for one in looks[::2]]
    assert widths[0] > widths[1]


def test_arms_that_are_not_as_large_as_drawn_are_a_fault(trial, measured) -> None:
    measured()
    with open_journal(trial.folder) as journal:
        lost = [one.token for one in journal.proposals() if one.arm == "standard"][:200]
        journal.forget(lost)
    said = trial.run("measure", plain=True)[1]
    assert "FAULT: the arms are not as large as they were drawn" in said


def test_a_guardrail_sees_harm_also_of_patients_whom_the_journal_forgot(trial) -> None:
    trial.run(*SIGN)
    write_outcomes(trial, cancelled={"personalised": 0.25, "standard": 0.05})
    with open_journal(trial.folder) as journal:
        journal.forget([one.token for one in journal.proposals()][:300])
    said = trial.run("measure")[1]
    (guardrail,) = said["guardrails"]
    assert (guardrail["name"], guardrail["arm"], guardrail["state"]) == (
        "cancellations",
        "personalised",
        "worse",
    )
    cancelled = pl.read_csv(trial.folder / "appointments.csv").filter(pl.col("status") == "cancelled")
    arms = arm_of(trial, cancelled["patient"].unique().to_list())
    assert guardrail["patients"] == arms.count("personalised")
    assert guardrail["under_standard"] == arms.count("standard")


def test_an_arm_that_loses_outcomes_is_told(trial, measured) -> None:
    said = measured()
    assert sum(said["without"].values()) == PATIENTS - sum(said["comparisons"][0]["found"]["patients"])
    assert said["without_ratio"] > 0.01
    with open_journal(trial.folder) as journal:
        journal.forget([one.token for one in journal.proposals()])
    write_outcomes(trial, cancelled={"personalised": 0.25, "standard": 0.05})
    assert trial.run("measure")[1]["without_ratio"] < 0.01
    assert "FAULT: patients without an outcome" in trial.run("measure", plain=True)[1]


def test_a_guardrail_without_harm_says_so(trial, measured) -> None:
    assert [one["state"] for one in measured()["guardrails"]] == ["no sign"]


def test_what_people_held_or_refused_is_compared_by_arm(trial, measured) -> None:
    measured()
    with open_journal(trial.folder) as journal:
        ids = [one.id for one in journal.proposals() if one.arm == "personalised"][:100]
        journal.move(ids, "refused", person="Grace", reason="not now", at=datetime(2026, 12, 1, tzinfo=UTC))
    found = trial.run("measure")[1]["decided"]["personalised"]
    assert found["means"][1] == 0.0
    assert found["means"][0] == pytest.approx(100 / found["patients"][0])


def test_a_journal_that_forgot_too_early_is_told(trial, measured) -> None:
    assert measured()["gone_before"] is None
    path = trial.folder / "outreach.yaml"
    path.write_text(path.read_text().replace("keep_days: 90", "keep_days: 20"))
    assert trial.run("measure")[1]["gone_before"] == "2026-11-30"
    assert "who was counted in before 2026-11-30 is gone" in trial.run("measure", plain=True)[1]


def test_without_a_signed_protocol_nothing_is_measured(trial) -> None:
    code, _, error = trial.run("measure")
    assert code == 2
    assert "nobody signed it" in error
    assert error.count("\n") == 1


def test_nothing_of_a_patients_is_printed_and_nothing_is_written(trial, measured) -> None:
    measured()
    before = {
        path: path.stat().st_mtime_ns for path in trial.folder.rglob("*") if path.suffix not in (".lock",)
    }
    said = trial.run("measure", plain=True)[1]
    assert "patient-" not in said
    assert "personalised − standard" in said
    after = {
        path: path.stat().st_mtime_ns for path in trial.folder.rglob("*") if path.suffix not in (".lock",)
    }
    assert before.keys() == after.keys()
