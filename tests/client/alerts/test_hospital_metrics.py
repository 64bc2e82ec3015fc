"""A hospital's metrics are settings and ledger; nothing in its tables changes a single one."""

import polars as pl
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.client.small_hospital import small_tables
from wardround.client.alerts import metrics
from wardround.client.alerts.metrics import HospitalMetrics
from wardround.client.checks.files import strange_heads
from wardround.client.home.home import load_home
from wardround.protocol.wire.signing import new_key


@pytest.fixture(autouse=True)
def _room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 2**40}))


def scraped(folder) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HospitalMetrics(folder))
    return generate_latest(registry).decode()


def test_what_was_spent_and_what_waits_is_told(hospital) -> None:
    assert hospital.clause() == "approval"
    assert "wardround_studies_undecided 1.0" in scraped(hospital.folder)
    hospital.approve()
    hospital.released()
    spent = hospital.epsilon
    hospital.stop()
    text = scraped(hospital.folder)
    assert "wardround_studies_undecided 0.0" in text
    line = next(
        one for one in text.splitlines() if one.startswith("wardround_epsilon_spent{") and "for life" in one
    )
    assert float(line.split()[-1]) == pytest.approx(spent)
    assert 'wardround_epsilon_cap{account="training",scope="for life"} 5.0' in text


def test_nothing_in_the_tables_changes_a_metric(make_hospital, monkeypatch) -> None:
    """Noise alone, half of the patients, or all of them: every byte that Prometheus reads is the same."""
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)
    texts = []
    for name, tables in (
        ("a", small_tables()),
        ("b", small_tables(range(20))),
        ("c", {"messages": pl.DataFrame({"QSECRETQ": ["1"]})}),
    ):
        place = make_hospital(name)
        place.write_tables(tables)
        place.approve()
        place.released()
        place.stop()
        texts.append(scraped(place.folder))
    first, *others = (_without_operator(text) for text in texts)
    assert others == [first, first]
    assert "QSECRETQ" not in first


def test_an_operator_whose_key_changed_is_one_operator(approved) -> None:
    """Prometheus refuses a page that names one figure twice."""
    approved.released()
    successor, ledger = new_key(), approved.agent._ledger
    who = {"operator": approved.operator.public, "reason": "lost", "person": "officer"}
    ledger.decide("rotated", approved.agent._now(), successor=successor.public, **who)
    approved.operator = successor
    approved.approve()
    approved.released(2)
    assert approved.clause(3, ledger_head="0" * 64) == "ledger_head"
    home = load_home(approved.folder)
    assert [*strange_heads(ledger, home.policy.current(), ledger.entries())] == ["consortium"]
    approved.stop()
    scopes = [
        line.split('"')[3] for line in scraped(approved.folder).splitlines() if "epsilon_spent{" in line
    ]
    assert scopes == ["for life", "operator consortium", f"study {approved.terms.study}"]


def test_two_operators_studies_of_one_name_stay_apart(hospital) -> None:
    first, second = hospital.operator, new_key()
    hospital.write_policy(operators={"north": first.public, "south": second.public})
    for operator in (first, second):
        hospital.operator = operator
        hospital.approve()
        hospital.released()
    hospital.stop()
    scopes = [
        line.split('"')[3] for line in scraped(hospital.folder).splitlines() if "epsilon_spent{" in line
    ]
    study = f"study {hospital.terms.study}"
    assert sorted(scopes[1:]) == [
        "operator north",
        "operator south",
        f"{study} of north",
        f"{study} of south",
    ]


def _without_operator(text: str) -> str:
    """Drop the operator's name, which is each operator's own key here."""
    return "\n".join(line for line in text.splitlines() if "operator" not in line)


def test_a_home_that_cannot_be_read_says_so_and_nothing_else(tmp_path) -> None:
    lines = [line for line in scraped(tmp_path).splitlines() if not line.startswith("#")]
    assert lines == ["wardround_home_readable 0.0"]
