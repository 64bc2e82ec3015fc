"""What drawn modules show of the model's choice: from the journal's rows to one estimate."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.client.outreach.content.modules import module_text, write_folder
from tests.client.outreach.measure.test_protocol import SIGN
from tests.client.outreach.measure.trials import MEASURED_ON, set_date, write_protocol
from wardround.client.home.home import load_home
from wardround.client.outreach.journal.journal import open_journal
from wardround.client.outreach.journal.records import as_text
from wardround.client.outreach.journal.schema import HELD_COLUMNS, PROPOSAL_COLUMNS
from wardround.client.outreach.journal.tokens import token_of
from wardround.client.outreach.measure.arms import drawn_arms
from wardround.client.outreach.measure.explored import Explored, choice_over_standard, one_mean
from wardround.client.outreach.measure.explored_rows import drawn_occasions, explored_rows

EQUAL = (("a", "b"), ("c", "d"))
ARMS = {"standard": 0.2, "explored": 0.8}


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "token": "t1", "trigger": "visit", "occasion": "one", "arm": "explored", "propensity": 0.5, "module": "b.en",
        "standard": "a.en", "population": "known", "options": '[{"module":"b","hour":8,"gain":0.2,"error":0.1}]',
        "made_at": "2026-11-03T09:00:00Z", "outcome": 1.0,
    } | changes  # fmt: skip


def rows(*entries: dict[str, Any]) -> Explored:
    return explored_rows(pl.DataFrame(list(entries)), EQUAL)


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ('[{"module":"b","gain":0.2,"error":0.1}]', 1),
        ('[{"module":"b","gain":0.1,"error":0.2}]', 0),  # does not exceed its error
        ('[{"module":"d","gain":0.2,"error":0.1}]', 0),  # not one of the equal ones
        ("[]", 0),  # the model was not asked
    ],
    ids=["gain", "error", "other", "none"],
)
def test_the_models_choice_is_its_best_equal_module_or_the_standard(options: str, chosen: int) -> None:
    found = rows(entry(options=options), entry(module="a.en"))
    assert found.chosen.tolist() == [chosen, 1]
    assert found.drawn.tolist() == [1, 0]
    assert found.standard.tolist() == [0, 0]


def test_an_occasion_counts_once_and_only_where_chance_drew() -> None:
    entries = pl.DataFrame(
        [
            entry(made_at="2026-11-05T09:00:00Z", module="late.en"),
            entry(),
            entry(occasion="two"),
            entry(token="t2", arm="personalised"),
            entry(token="t3", propensity=1.0),
        ]
    )
    found = drawn_occasions(entries)
    assert found.select("token", "occasion", "module").rows() == [
        ("t1", "one", "b.en"),
        ("t1", "two", "b.en"),
    ]


def test_with_known_chances_the_estimate_is_right_though_its_model_knows_nothing() -> None:
    rng, patients = np.random.default_rng(1), 20_000
    drawn = rng.integers(0, 2, patients)
    outcomes = (rng.random(patients) < 0.3 + 0.1 * drawn).astype(np.float64)
    same = {"patients": np.arange(patients), "drawn": drawn, "standard": np.zeros(patients, np.int64)}
    explored = Explored(
        **same,
        features=rng.random((patients, 2)),  # of no use
        chosen=np.ones(patients, np.int64),
        propensity=np.full(patients, 0.5),
        outcomes=outcomes,
    )
    found = one_mean(choice_over_standard(explored))
    plain = outcomes[drawn == 1].mean() - outcomes[drawn == 0].mean()
    assert found.difference == pytest.approx(plain, abs=2e-3)
    assert found.difference == pytest.approx(0.1, abs=4 * found.standard_error)


def test_measure_tells_what_the_models_choice_adds(trial) -> None:
    write_protocol(
        trial,
        arms=ARMS,
        compare=["explored", "standard"],
        equivalent=[["visit", "visit-two"]],
        guardrails={},
        groups={},
    )
    write_folder(trial.folder / "content", module_text(), module_text(id="visit-two"))
    assert trial.run(*SIGN)[0] == 0
    rng, names = np.random.default_rng(5), [f"patient-{number}" for number in range(1500)]
    key = load_home(trial.folder).patients_key
    at = datetime(2026, 11, 10, 9, tzinfo=UTC)
    entries, visits = [], []
    for name, arm in zip(names, drawn_arms(names, key, "attend", ARMS), strict=True):
        exploring, second = arm == "explored", bool(rng.random() < 0.5)
        entries.append(
            dict.fromkeys(PROPOSAL_COLUMNS, "")
            | {
                "token": token_of(name, key), "recipient": "patient", "occasion": "one", "trigger": "visit",
                "arm": arm, "propensity": 0.5 if exploring else 1.0, "made_at": as_text(at), "stands_on": "{}",
                "reasons": "[]", "options": '[{"module":"visit-two","hour":8,"gain":0.2,"error":0.1}]',
                "send_after": as_text(at), "send_before": as_text(at), "standard": "visit.en",
                "module": "visit-two.en" if exploring and second else "visit.en", "population": "known",
            }
        )  # fmt: skip
        attends = rng.random() < 0.4 + 0.2 * (exploring and second)
        visits.append((name, str(at + timedelta(days=2))[:19], "fulfilled" if attends else "noshow"))
    with open_journal(trial.folder) as journal:
        journal.propose(pl.DataFrame(entries), pl.DataFrame(schema=dict.fromkeys(HELD_COLUMNS, pl.String)))
    columns = ["patient", "starts_at", "status"]
    pl.DataFrame(visits, columns, orient="row").write_csv(trial.folder / "appointments.csv")
    set_date(trial, MEASURED_ON)
    code, said, error = trial.run("measure")
    assert code == 0, error
    one = said["explored"]
    assert one["first"] == "the model's choice"
    assert one["low"] < 0.2 < one["high"]
    assert one["p_value"] < 0.05
    assert "no carry-over" in trial.run("measure", plain=True)[1]
