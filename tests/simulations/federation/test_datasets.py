"""Real tables: read as exported, split into hospitals, faults counted, one-line errors."""

import gzip
from pathlib import Path

import pytest
import yaml

from tests.builders import ROOT
from wardround.conf import __file__ as conf_file
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import TableError
from wardround.simulations.federation.datasets import NOSHOW_COLUMNS, read_heart, read_noshow

DATA = ROOT.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="real tables are absent: ../shared/data")

NOSHOW_ROWS = (
    "101,F,2016-04-29T18:38:08Z,2016-04-29T00:00:00Z,62,CENTRO,0,1,0,0,0,0,No",
    "101,F,2016-05-02T09:00:00Z,2016-05-01T00:00:00Z,62,CENTRO,0,1,0,0,0,1,Yes",
    "537E-5,M,2016-05-02T09:00:00Z,2016-05-09T00:00:00Z,-1,GOIABEIRAS,0,0,0,0,0,1,No",
    "103,M,2016-05-02T09:00:00Z,2016-05-09T00:00:00Z,40,,0,0,0,0,0,1,No",
)


def shipped_contract(name: str) -> Contract:
    path = Path(conf_file).parent / "contract" / f"{name}.yaml"
    return contract_from_mapping(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.fixture
def noshow(tmp_path: Path) -> Path:
    path = tmp_path / "noshow.csv.gz"
    path.write_bytes(gzip.compress("\n".join([",".join(NOSHOW_COLUMNS), *NOSHOW_ROWS, ""]).encode()))
    return path


@pytest.fixture
def heart(tmp_path: Path) -> Path:
    row = "63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,2.3,3.0,0.0,6.0,0"
    gaps = "52,1,4,130,?,0,0,120,0,1,?,?,?,3"
    only_dropped = "52,1,4,130,180,0,0,120,0,1,?,?,?,3"
    for hospital in ("cleveland", "hungarian", "switzerland", "va"):
        (tmp_path / f"processed.{hospital}.data").write_text("\n".join([row, gaps, only_dropped, ""]))
    return tmp_path


def test_noshow_is_split_by_neighbourhood_and_its_faults_counted(noshow: Path) -> None:
    dataset = read_noshow(noshow)
    messages = dataset.tables.messages.lazy().collect()
    assert dataset.hospitals == ("CENTRO", "GOIABEIRAS", "not named")
    assert messages["hospital"].to_list() == ["CENTRO", "CENTRO", "GOIABEIRAS", "not named"]
    assert messages["PatientId"][2] == "537E-5"
    assert messages.height == 4
    assert dataset.faults == {
        "appointment dated before its booking": 1,
        "impossible age": 1,
        "patient number not a whole number": 1,
    }
    assert dataset.set_aside == {}


def test_heart_follows_flamby(heart: Path) -> None:
    dataset = read_heart(heart)
    messages = dataset.tables.messages.lazy().collect()
    assert dataset.hospitals == ("cleveland", "hungarian", "switzerland", "va")
    assert messages.height == 8
    assert dataset.set_aside == {"missing value": 4}
    assert messages["row"].to_list()[:3] == ["cleveland-001", "cleveland-003", "hungarian-001"]
    assert not {"slope", "ca", "thal"} & set(messages.columns)


@pytest.mark.parametrize("name", ["noshow", "heart"])
def test_shipped_contracts_fit_what_is_read(name: str, noshow: Path, heart: Path) -> None:
    contract = shipped_contract(name)
    dataset = read_noshow(noshow) if name == "noshow" else read_heart(heart)
    columns = dataset.tables.messages.lazy().collect_schema().names()
    assert set(contract.columns("messages")) <= set(columns)
    assert contract.hospital in columns


def test_errors_name_the_path_or_the_column(tmp_path: Path, noshow: Path, heart: Path) -> None:
    with pytest.raises(TableError, match=r"data\.path=.*absent\.csv: no such file"):
        read_noshow(tmp_path / "absent.csv")
    (tmp_path / "cut.csv").write_text("PatientId,Gender\n1,F\n")
    with pytest.raises(TableError, match=r"columns ScheduledDay, AppointmentDay, .* are missing"):
        read_noshow(tmp_path / "cut.csv")
    (heart / "processed.va.data").unlink()
    with pytest.raises(TableError, match=r"no file processed\.va\.data"):
        read_heart(heart)
    (heart / "processed.cleveland.data").write_text("1,2\n")
    with pytest.raises(TableError, match="1 of 1 lines do not have 14 columns"):
        read_heart(heart)


@needs_data
def test_the_real_noshow_table() -> None:
    dataset = read_noshow(DATA / "noshow.csv.gz")
    messages = dataset.tables.messages.lazy().collect()
    assert (len(dataset.hospitals), messages.height, messages["PatientId"].n_unique()) == (
        81,
        110_527,
        62_299,
    )
    assert tuple(dataset.faults.values()) == (5, 1, 5)


@needs_data
def test_the_real_heart_tables() -> None:
    dataset = read_heart(DATA / "heart")
    assert dataset.tables.messages.lazy().collect().height == 740
    assert dataset.set_aside == {"missing value": 180}
