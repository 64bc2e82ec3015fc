"""Files of tables that cannot be reached: the hospital is late, is charged once, sends nothing, and its people know."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from wardround.client.connectors.fhir import FhirSource, FhirTable
from wardround.client.connectors.files import check_file
from wardround.client.connectors.reached import require_reached
from wardround.client.connectors.source import TablePlace
from wardround.client.main import main
from wardround.protocol.errors import TableAway, TableError
from wardround.protocol.wire.envelope import decode_answer

UNREADABLE = Path(
    "/proc/self/mem"
)  # at its start every read fails with EIO, as in a shared folder that is away


@pytest.mark.skipif(not UNREADABLE.exists(), reason="Linux alone has such a file")
def test_tables_in_a_folder_that_is_away_make_the_hospital_late_and_cost_no_round(approved, capsys):
    messages = approved.folder / "messages.csv"
    approved.released(1)
    messages.rename(approved.folder / "kept.csv")
    messages.symlink_to(UNREADABLE)
    request = approved.request(2)
    assert approved.agent.answer(request).payload is None
    assert approved.agent.answer(request).payload is None
    capsys.readouterr()
    assert main(["status", "--json", "--home", str(approved.folder)]) == 0
    said = json.loads(capsys.readouterr().out)
    (away,) = said["tables_away"]
    assert (away["study"], away["account"], away["round"]) == ("tea", "training", 2)
    assert "messages.csv cannot be reached now" in away["why"]
    assert said["noise_alone"] == []
    messages.unlink()
    (approved.folder / "kept.csv").rename(messages)
    assert decode_answer(approved.agent.answer(request).payload).release.round == 2
    assert len(approved.entries("charged")) == len(approved.entries("released")) == 2
    assert main(["status", "--json", "--home", str(approved.folder)]) == 0
    assert json.loads(capsys.readouterr().out)["tables_away"] == []


@pytest.mark.parametrize("name", ["messages.csv", "messages.csv.gz", "messages.xlsx", "messages.parquet"])
@pytest.mark.skipif(not UNREADABLE.exists(), reason="Linux alone has such a file")
def test_whatever_kind_of_file_cannot_be_reached_nothing_is_sent(hospital, name):
    (hospital.folder / name).unlink(missing_ok=True)
    (hospital.folder / name).symlink_to(UNREADABLE)
    settings = hospital.folder / "hospital.yaml"
    settings.write_text(settings.read_text().replace("messages.csv", name))
    hospital.approve()
    assert hospital.agent.answer(hospital.request(1)).payload is None


def test_a_file_that_is_gone_or_damaged_is_answered_with_noise_alone(approved):
    """An export that found nobody may write no file: whether it is there is the tables' to say, and must not show."""
    (approved.folder / "messages.csv").unlink()
    approved.released(1)
    (approved.folder / "messages.csv").write_bytes(b"\xff\x00")
    approved.released(2)


def source_of(*paths):
    return SimpleNamespace(files=lambda: {"messages": paths})


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EHOSTDOWN, errno.EACCES, errno.EMFILE])
def test_what_keeps_a_file_from_being_opened_is_no_fault_of_the_table(monkeypatch, tmp_path, number):
    def refused(self, *arguments):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(TableAway, match=r"messages: visits\.csv cannot be reached now"):
        require_reached(source_of(tmp_path / "visits.csv"))


def test_memory_that_large_tables_took_and_a_path_that_is_none_make_no_hospital_late(monkeypatch, tmp_path):
    """Both would be late for ever, and the first by what the tables hold."""

    def refused(self, *arguments):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(self))

    with monkeypatch.context() as during:
        during.setattr(Path, "open", refused)
        require_reached(source_of(tmp_path / "visits.csv"))
    with pytest.raises(TableError) as found:
        check_file(tmp_path / f"{'x' * 300}.csv")
    assert not isinstance(found.value, TableAway)


def test_an_export_folder_that_cannot_be_read_is_away_and_one_that_is_gone_is_not(monkeypatch, tmp_path):
    source = FhirSource(tmp_path, {"messages": TablePlace("Communication")}, {"messages": FhirTable()})
    require_reached(source)
    require_reached(replace(source, folder=tmp_path / "gone"))

    def refused(self):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(TableAway, match="the tables cannot be reached now"):
        require_reached(source)


def test_what_is_there_and_what_is_gone_are_reached(tmp_path):
    pl.DataFrame({"patient": ["p1"]}).write_csv(tmp_path / "there.csv")
    require_reached(source_of(tmp_path / "there.csv", tmp_path / "gone.csv"))
    require_reached(source_of(tmp_path))  # a folder in a file's place is a fault of the table
