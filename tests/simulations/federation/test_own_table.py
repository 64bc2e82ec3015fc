"""A researcher's own tables: mapped, in another dialect, with patients and consents, all faults at once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.builders import clinics_contract
from wardround.conf.compose import settings_to_mapping, study_settings
from wardround.conf.composed import compose_study
from wardround.conf.settings import DataSettings
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, TableError
from wardround.simulations.federation.encoded_key import encoded_key
from wardround.simulations.federation.federation import load_federation
from wardround.simulations.federation.own_table import read_own_tables

PLAIN = clinics_contract(
    hospital="clinic",
    features={
        "age": {"kind": "numeric", "column": "age", "edges": [18, 40, 65]},
        "reminded": {"kind": "boolean", "column": "reminded"},
        "sex": {"kind": "categorical", "column": "sex", "vocabulary": ["F", "M"]},
        "booked_at": {"kind": "hour", "column": "sent", "edges": [6, 12, 18]},
    },
)
CONTRACT = contract_from_mapping(PLAIN)
CLINICS = ("north", "south", "east")


def visits(count: int = 120) -> pl.DataFrame:
    draw = np.random.default_rng(3)
    return pl.DataFrame(
        {
            "person": [str(1000 + row % 60) for row in range(count)],
            "clinic": [CLINICS[row % 3] for row in range(count)],
            "sent": [f"2024-03-{1 + row % 27:02d}T{draw.integers(24):02d}:15" for row in range(count)],
            "visit_day": [f"2024-04-{1 + row % 27:02d}" for row in range(count)],
            "age": [f"{draw.uniform(10, 90):.1f}" for _ in range(count)],
            "reminded": [str(draw.integers(2)) for _ in range(count)],
            "sex": [draw.choice(["F", "M"]) for _ in range(count)],
            "attended": [str(draw.integers(2)) for _ in range(count)],
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    visits().write_csv(tmp_path / "visits.csv")
    return tmp_path


def data(folder: Path, name: str = "visits.csv", timezone: str = "UTC", **mapping: object) -> DataSettings:
    return DataSettings(name="table", path=folder / name, timezone=timezone, mapping=mapping)


def test_another_dialect_with_a_mapping_is_the_same_federation(folder: Path) -> None:
    plain = load_federation(data(folder), CONTRACT, 7)
    timestamp = pl.col("sent").str.to_datetime("%Y-%m-%dT%H:%M").dt.to_string("%d/%m/%Y %H:%M")
    spanish = visits().with_columns(
        timestamp.alias("sent"),
        age=pl.col("age").str.replace(".", ",", literal=True),
        reminded=pl.col("reminded").replace({"1": "Sí", "0": "No"}),
        sex=pl.col("sex").replace({"F": "1", "M": "2"}),
    )
    spanish.rename({"person": "nhc", "sent": "enviado", "sex": "sexo"}).write_parquet(
        folder / "citas.parquet"
    )
    written = data(
        folder,
        "citas.parquet",
        columns={"person": "nhc", "sent": "enviado", "sex": "sexo"},
        values={"sex": {"1": "F", "2": "M"}},
        format={"decimal": ",", "dates": "DD/MM/YYYY"},
    )
    federation = load_federation(written, CONTRACT, 7)
    assert federation.data_fingerprint == plain.data_fingerprint
    line = "citas.parquet: decimal comma, dates DD/MM/YYYY, times without a zone in UTC"
    assert federation.how_read["messages"] == line
    assert plain.how_read["messages"].endswith("dates ISO 8601, times without a zone in UTC")


def test_cells_with_line_feeds_are_read_and_said_where_the_settings_say_so(folder: Path) -> None:
    head, *rows = (folder / "visits.csv").read_text().splitlines()
    lines = [f"{head},note", *(f'{row},"two\nlines"' for row in rows)]
    (folder / "notes.csv").write_text("\n".join(lines) + "\n")
    plain = load_federation(data(folder), CONTRACT, 7)
    noted = load_federation(data(folder, "notes.csv", format={"newlines": "in_cells"}), CONTRACT, 7)
    assert noted.data_fingerprint == plain.data_fingerprint
    assert "quoted cells may hold line feeds" in noted.how_read["messages"]
    assert "line feeds" not in plain.how_read["messages"]


def test_the_hospitals_zone_moves_plain_times_of_another(folder: Path) -> None:
    kept_in_utc = data(folder, timezone="America/Los_Angeles", format={"timezone": "UTC"})
    hours = [load_federation(one, CONTRACT, 7).training.bins for one in (data(folder), kept_in_utc)]
    assert not np.array_equal(*hours)
    local = data(folder, timezone="America/Los_Angeles")
    assert (
        load_federation(local, CONTRACT, 7).data_fingerprint
        == load_federation(data(folder), CONTRACT, 7).data_fingerprint
    )


def test_patients_and_consents_are_tables_too(folder: Path) -> None:
    sex = {"kind": "categorical", "table": "patients", "column": "sex", "vocabulary": ["F", "M"]}
    asked = contract_from_mapping(
        {**PLAIN, "consent": {"required": True}, "features": {**PLAIN["features"], "sex": sex}}
    )
    people = [str(1000 + number) for number in range(60)]
    pl.DataFrame({"pat": people, "sex": ["F", "M"] * 30}).write_csv(folder / "people.csv")
    given = {"kind": "purpose", "value": "appointment_reminder", "granted_at": "2024-01-01"}
    consents = pl.DataFrame({"person": people, "expires_at": ""}).with_columns(
        **{k: pl.lit(v) for k, v in given.items()}
    )
    withdrawn = pl.int_range(60) < 20
    consents.with_columns(withdrawn_at=pl.when(withdrawn).then(pl.lit("2024-02-01"))).write_csv(
        folder / "consents.csv"
    )
    settings = data(
        folder, patients={"path": str(folder / "people.csv"), "columns": {"person": "pat"}},
        consents=str(folder / "consents.csv"),
    )  # fmt: skip
    federation = load_federation(settings, asked, 7)
    out = federation.counts["no consent for the purpose"]
    assert out == 40, "twenty patients with two visits each have withdrawn"
    assert federation.training.patient_count + federation.heldout.patient_count == 40
    place = [field.name for field in asked.layout.features].index("sex")
    assert set(federation.training.bins[:, place].tolist()) == {0, 1}, "nobody's sex is missing"
    assert set(federation.how_read) == {"messages", "patients", "consents"}


def test_empty_rows_at_the_end_make_no_hospital(folder: Path) -> None:
    lines = (folder / "visits.csv").read_text()
    (folder / "tail.csv").write_text(lines + ",,,,,,,\n" * 50)
    dataset = read_own_tables(data(folder, "tail.csv"), CONTRACT)
    assert dataset.hospitals == tuple(sorted(CLINICS))
    assert dataset.set_aside == {"empty row": 50}
    named = lines + '"1000",,2024-03-01,2024-04-01,30,1,F,1\n'
    (folder / "unnamed.csv").write_text(named)
    assert "not named" in read_own_tables(data(folder, "unnamed.csv"), CONTRACT).hospitals


def test_faults_of_all_tables_are_named_at_once(folder: Path) -> None:
    asked = contract_from_mapping({**PLAIN, "consent": {"required": True}})
    visits().rename({"age": "years"}).write_csv(folder / "renamed.csv")
    (folder / "consents.csv").write_text("person,kind\n1000,purpose\n")
    with pytest.raises(TableError) as caught:
        read_own_tables(data(folder, "renamed.csv", consents=str(folder / "consents.csv")), asked)
    assert "column age is missing" in str(caught.value)
    assert "data.columns" in str(caught.value)
    assert "consents: consents.csv: column" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(
        TableError, match=r"consents: contract visits needs this table; give data\.consents=PATH"
    ):
        read_own_tables(data(folder), asked)


def test_a_wrong_setting_names_its_key(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"data\.format\.dates=DD/MM: must be one of"):
        read_own_tables(data(folder, format={"dates": "DD/MM"}), CONTRACT)
    with pytest.raises(
        ConfigurationError, match=r"data\.consents\.colums: unknown key; did you mean columns"
    ):
        read_own_tables(data(folder, consents={"path": "c.csv", "colums": {}}), CONTRACT)


def test_kept_federations_are_told_apart_by_mapping_format_and_zone(folder: Path) -> None:
    (folder / "people.csv").write_text("person,sex\n1,F\n")
    plain = data(folder)
    others = [
        data(folder, columns={"person": "clinic"}),
        data(folder, format={"decimal": ","}),
        data(folder, timezone="Europe/Madrid"),
        data(folder, patients=str(folder / "people.csv")),
    ]
    keys = {encoded_key(one, CONTRACT, 7).data for one in (plain, *others)}
    assert len(keys) == 5
    (folder / "people.csv").write_text("person,sex\n1,M\n")
    assert encoded_key(others[-1], CONTRACT, 7).data not in keys
    assert encoded_key(replace(plain), CONTRACT, 7).data in keys


def test_settings_are_composed_from_a_command_line_and_read_back(folder: Path) -> None:
    (folder / "visits.yaml").write_text(
        "name: visits\nversion: 1\npurpose: p\npatient: person\nhospital: clinic\n"
        "label: {column: attended, engaged: ['1'], not_engaged: ['0']}\nevents_per_patient: 2\n"
        "consent: {required: false}\nfeatures: {age: {kind: numeric, column: age, edges: [40]}}\n"
    )
    common = ("data=table", f"data.path={folder / 'visits.csv'}", f"data.contract={folder / 'visits.yaml'}")
    settings = compose_study(
        *common, "data.format.separator=;", "data.format.decimal=,", "data.format.thousands='",
        "data.columns={person: nhc}", "data.values={sex: {1: F}}", "data.timezone=Europe/Madrid",
    )  # fmt: skip
    assert settings.data.timezone == "Europe/Madrid"
    assert settings.data.mapping == {
        "columns": {"person": "nhc"},
        "values": {"sex": {"1": "F"}},
        "format": {"separator": ";", "decimal": ",", "thousands": "'"},
    }
    assert study_settings(settings_to_mapping(settings)).data == settings.data
    assert compose_study(*common).data.mapping == {}
    # Quotes and accents, which Hydra's grammar has no place for in a key.
    words = compose_study(*common, """data.values={sex: {"1": F, it's: M}, came: {Sí: yes, No: "no"}}""")
    assert words.data.mapping == {
        "values": {"sex": {"1": "F", "it's": "M"}, "came": {"Sí": "yes", "No": "no"}}
    }
    assert study_settings(settings_to_mapping(words)).data == words.data
    people = compose_study(
        *common, f'data.patients={{path: {folder / "people.csv"}, columns: {{person: "Nº"}}}}'
    )
    assert people.data.mapping["patients"] == {
        "path": str(folder / "people.csv"),
        "columns": {"person": "Nº"},
    }
    with pytest.raises(ConfigurationError, match=r"data\.values=\{sex: \[\}: is not YAML"):
        compose_study(*common, "data.values={sex: [}")
    with pytest.raises(ConfigurationError, match=r"data\.timezone=Europe/Madrid: unknown key"):
        compose_study("data=noshow", "data.path=x.csv", "+data.timezone=Europe/Madrid")
