"""A panic of a library is a fault of a table: one line for the person, and nothing of what the tables hold."""

import subprocess
import sys
from types import SimpleNamespace

import polars as pl
import pytest

from tests.builders import ROOT
from wardround.client.checks.finding import FAULT, guarded
from wardround.client.connectors.files import FileSource
from wardround.client.connectors.panic import panics_are_faults
from wardround.client.main import main
from wardround.protocol.errors import TableError
from wardround.protocol.wire.signed_terms import save_terms, sign_terms


def panic(*arguments):
    """Make polars panic, as a day beyond its calendar does; a BaseException."""
    return pl.Series([2**31 - 1]).cast(pl.Int32).cast(pl.Date).cast(pl.Datetime("us"))


def test_polars_panics_pass_whoever_catches_exceptions():
    with pytest.raises(pl.exceptions.PanicException) as raised:
        panic()
    assert not isinstance(raised.value, Exception)


def test_a_panic_is_a_table_error_with_type_and_place_alone():
    place = r"^tables: .*\(PanicException, \w+\.py line \d+\); correct"
    with pytest.raises(TableError, match=place) as raised, panics_are_faults():
        panic()
    assert "out-of-range" not in str(raised.value)


@pytest.mark.parametrize("other", [KeyboardInterrupt, SystemExit, MemoryError, ValueError, TableError])
def test_whatever_is_no_panic_passes_as_it_is(other):
    with pytest.raises(other) as raised, panics_are_faults():
        raise other("as it is")
    assert raised.value.args == ("as it is",)


def test_a_check_of_the_doctors_that_panics_is_one_fault():
    (finding,) = guarded("tables", panic)
    assert (finding.state, finding.topic) == (FAULT, "tables")
    assert "PanicException" in finding.text


@pytest.mark.parametrize("word", ["agent", "gate", "score", "personalize", "rehearse", "approve"])
def test_every_command_says_a_panic_in_one_line(word, monkeypatch, capsys, tmp_path):
    parsed = SimpleNamespace(module=word, verbose=False, home=tmp_path)
    monkeypatch.setattr(
        "wardround.client.main.parser", lambda: SimpleNamespace(parse_args=lambda arguments: parsed)
    )
    monkeypatch.setattr("wardround.client.main.import_module", lambda name: SimpleNamespace(run=panic))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the agent's command sets both
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert main([word]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    # The agent's standard error is a log: its line has a time and a level before.
    assert "tables: a library gave up on them (PanicException" in printed.err


def test_rehearse_and_doctor_name_the_fault_and_go_on(hospital, monkeypatch, capsys, tmp_path):
    save_terms(sign_terms(hospital.terms, hospital.operator), tmp_path / "tea.terms")
    monkeypatch.setattr(FileSource, "read", panic)
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)
    for word in ("rehearse", "doctor"):
        assert main([word, str(tmp_path / "tea.terms"), "--home", str(hospital.folder)]) == 2
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1
        assert "PanicException" in (printed.err if word == "rehearse" else printed.out)


def test_a_rehearsal_whose_training_fails_says_that_a_round_would_be_noise(
    hospital, monkeypatch, capsys, tmp_path
):
    save_terms(sign_terms(hospital.terms, hospital.operator), tmp_path / "tea.terms")
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)

    def fail(model, layout, weights, cohort, *arguments, **settings):
        if cohort.patient_count:
            raise ZeroDivisionError
        return 0.0 * weights

    monkeypatch.setattr("wardround.client.train.update.clipped_sums", fail)
    assert main(["rehearse", str(tmp_path / "tea.terms"), "--home", str(hospital.folder)]) == 2
    assert "ZeroDivisionError" in (said := capsys.readouterr().err)
    assert "noise alone, and charged" in said
    assert not (hospital.folder / "rounds.jsonl").exists()


def test_what_libraries_write_to_standard_error_is_dropped_and_what_we_write_is_not():
    program = """
import logging, os, sys
import polars as pl
from wardround.client.connectors.panic import libraries_are_mute, panics_are_faults
try:
    with libraries_are_mute(), panics_are_faults():
        print("ours", file=sys.stderr)
        os.write(2, b"theirs")
        pl.Series([2**31 - 1]).cast(pl.Int32).cast(pl.Date).cast(pl.Datetime("us"))
except Exception as error:
    print(error, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    first, second = done.stderr.splitlines()
    assert first == "ours"
    assert second.startswith("tables: a library gave up on them (PanicException")
