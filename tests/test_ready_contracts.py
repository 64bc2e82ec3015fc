"""The contracts to start with: valid, honest about what they read, and a gate's worth of invented patients passes."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import yaml

from tests.builders import ROOT
from wardround.client.connectors.source import Tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.protocol.contract.contract import TABLES, Contract
from wardround.protocol.contract.reading import contract_from_mapping

FILES = sorted((ROOT / "docs" / "contracts").glob("*.yaml"))
NOW = datetime(2024, 6, 1, tzinfo=UTC)
PATIENTS, MESSAGES = 60, 400


def contract_in(path) -> Contract:
    return contract_from_mapping(yaml.safe_load(path.read_text(encoding="utf-8")))


def cells(feature, rng, count):
    if feature.worded:
        return rng.choice(list(feature.vocabulary), count)
    if feature.kind == "boolean":
        return rng.choice(["0", "1"], count)
    return rng.choice([str(edge) for edge in feature.edges], count)


def table_of(contract, table, rows, rng):
    """Invented cells for every column that the contract's features read of one table."""
    columns = {}
    for feature in contract.features:
        if feature.table == table and (feature.worded or feature.kind in ("boolean", "numeric")):
            columns[feature.columns[0]] = cells(feature, rng, rows)
    return columns


def invented(contract) -> Tables:
    rng = np.random.default_rng(11)
    people = [f"P{i:03}" for i in range(PATIENTS)]
    sent = [
        NOW - timedelta(days=int(day), hours=int(h))
        for day, h in rng.integers((30, 0), (400, 24), (MESSAGES, 2))
    ]
    messages = {
        **table_of(contract, "messages", MESSAGES, rng),
        contract.patient: rng.choice(people, MESSAGES),
        contract.decided_at: [timestamp.isoformat() for timestamp in sent],
        contract.outcome_at: [(timestamp + timedelta(days=7)).date().isoformat() for timestamp in sent],
        contract.label.column: rng.choice([*contract.label.engaged, *contract.label.not_engaged], MESSAGES),
    }
    assessed = {contract.assessed_at: ["2023-01-01"] * PATIENTS} if contract.assessed_at else {}
    said = [("purpose", contract.purpose), *(("source", source) for source in contract.sources)]
    consents = [
        {
            contract.patient: p,
            "kind": k,
            "value": v,
            "granted_at": "2023-01-01",
            "withdrawn_at": "",
            "expires_at": "",
        }
        for p in people[: PATIENTS // 2]
        for k, v in said
    ]
    arms = None
    if contract.arms is not None:
        drawn = {contract.arms.column: rng.choice(list(contract.arms.words), PATIENTS)}
        window = {
            contract.arms.since: ["2023-01-01"] * PATIENTS,
            contract.arms.until: ["2024-12-31"] * PATIENTS,
        }
        arms = pl.DataFrame({contract.patient: people, **drawn, **window})
    return Tables(
        pl.DataFrame(messages),
        pl.DataFrame({contract.patient: people, **table_of(contract, "patients", PATIENTS, rng)}),
        pl.DataFrame(consents),
        pl.DataFrame(
            {contract.patient: people, **assessed, **table_of(contract, "assessments", PATIENTS, rng)}
        ),
        arms,
    )


def test_there_is_one_for_each_task():
    assert [path.stem for path in FILES] == [
        "appointments", "portal", "referrals", "refills", "screening", "trial",
    ]  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_comment_lists_exactly_what_it_reads(path):
    contract, said = contract_in(path), {}
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.match(r"# (\w+) +([a-z_]+(?:, [a-z_]+)+)", line)
        if found and found[1] in TABLES:
            said[found[1]] = set(found[2].split(", "))
    assert said == {table: set(contract.columns(table)) for table in TABLES if contract.columns(table)}
    assert contract.name == path.stem
    assert contract.groups


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_invented_patients_pass_with_every_bin_known(path):
    contract = contract_in(path)
    admitted = admit(invented(contract), contract, b"a hospital's key", NOW)
    events = pl.concat([admitted.training, admitted.heldout])
    assert encode(admitted.training, contract).patient_count > 10
    assert admitted.counts["no consent for the purpose"] > 0
    for feature in contract.features:
        if feature.kind != "history":
            known = events[f"feature:{feature.name}"] < len(feature.labels) - 1
            assert known.all(), feature.name
