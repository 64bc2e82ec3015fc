"""docs/contract.md is true: its contracts are read, its table passes the gate, its errors are these."""

import io
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import yaml

from tests.builders import ROOT
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.source import Tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.conf.composed import compose_study
from wardround.protocol.contract.feature import KINDS, STATISTICS
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import WardroundError
from wardround.server.main import main

GUIDE = (ROOT / "docs" / "contract.md").read_text()


def section(title):
    return GUIDE.split(f"## {title}")[1].split("\n## ")[0]


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def test_the_no_show_contract_step_by_step_is_the_one_that_ships():
    told = yaml.safe_load("\n".join(blocks(section("The no-show table, step by step"), "yaml")))
    contract = contract_from_mapping({**told, "crosses": told["crosses"][:2]})
    shipped = contract_from_mapping(yaml.safe_load((ROOT / "conf" / "contract" / "noshow.yaml").read_text()))
    assert set(contract.features) <= set(shipped.features)
    assert set(map(tuple, told["crosses"])) <= set(shipped.crosses)
    for key in (
        "purpose",
        "version",
        "patient",
        "label",
        "decided_at",
        "outcome_at",
        "events_per_patient",
        "consent",
        "groups",
    ):
        assert getattr(contract, key) == getattr(shipped, key), key


def test_the_table_of_ones_own_passes():
    text = section("A table of your own, without Python")
    contract = contract_from_mapping(yaml.safe_load(blocks(text, "yaml")[0]))
    table = pl.read_csv(io.StringIO(blocks(text, "")[0]), infer_schema=False).rename({"clinic": "hospital"})
    admitted = admit(Tables(table), contract, b"key", datetime(2024, 4, 1, tzinfo=UTC))
    cohort = encode(pl.concat([admitted.training, admitted.heldout]), contract)
    assert (cohort.patient_count, cohort.hospital_count) == (2, 2)


def test_the_commands_of_other_names_and_words_are_read(tmp_path):
    text = section("A table of your own, without Python")
    contract = tmp_path / "visits.yaml"
    contract.write_text(blocks(text, "yaml")[0])
    commands = [body for _, body in re.findall(r"```(\w*)\n(.*?)```", text, re.S) if "data.values" in body]
    assert len(commands) == 2
    for command in commands:
        _, *overrides = shlex.split(command.replace("\\\n", " ").replace("visits.yaml", str(contract)))
        mapping = compose_study(*overrides).data.mapping
        assert all(isinstance(word, str) for words in mapping["values"].values() for word in words)


def test_the_public_tables_contracts_are_read(tmp_path):
    found = re.findall(r"```(\w*)\n(.*?)```", (ROOT / "docs/lab/public-tables.md").read_text(), re.S)
    contracts = [body for language, body in found if language == "yaml"]
    commands = [body for language, body in found if not language]
    assert len(contracts) == len(commands) == 2
    for contract, command in zip(contracts, commands, strict=True):
        _, *overrides = shlex.split(command.replace("\\\n", " "))
        given = dict(override.split("=", 1) for override in overrides)
        path = tmp_path / given["data.contract"]
        path.write_text(contract)
        settings = compose_study(*overrides, f"data.contract={path}")
        assert settings.contract == contract_from_mapping(yaml.safe_load(contract))
        assert settings.contract.hospital is not None


def test_the_advice_is_what_the_command_says(tmp_path, monkeypatch, capsys):
    visits = blocks(section("A table of your own, without Python"), "yaml")[0]
    (tmp_path / "visits.yaml").write_text(visits)
    monkeypatch.chdir(tmp_path)
    command, _, told = blocks(section("What drowns in noise"), "console")[0].partition("}'\n")
    assert main(shlex.split(command.replace("\\\n", " ") + "}'")[2:]) == 0
    assert capsys.readouterr().out == told


def test_each_kind_and_statistic_is_explained():
    for word in (*KINDS, *STATISTICS):
        assert f"`{word}`" in section("Reference"), word


def test_mappings_are_read():
    for block in blocks(section("A hospital's mapping"), "yaml"):
        assert source_from_mapping(yaml.safe_load(block), Path()).has("messages")


@pytest.mark.parametrize(
    ("start", "changes"),
    [
        ("contract.events_per_patient=0", {"events_per_patient": 0}),
        ("contract.featurs", {"featurs": {}}),
        ("contract.crosses: [lead, agee]", {"crosses": [["lead", "agee"]]}),
        (
            "contract.label.engaged=[False]",
            {"label": {"column": "x", "engaged": [False], "not_engaged": ["1"]}},
        ),
    ],
)
def test_mistakes_read_as_shown(start, changes):
    line = next(line for line in section("Mistakes").splitlines() if line.startswith(start))
    plain = yaml.safe_load((ROOT / "conf" / "contract" / "noshow.yaml").read_text())
    with pytest.raises(WardroundError) as caught:
        contract_from_mapping({**plain, **changes})
    assert str(caught.value).startswith(line.split("age, hour")[0].rstrip("…"))
