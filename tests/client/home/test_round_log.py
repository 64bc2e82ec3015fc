"""The hospital's people learn which rounds were noise alone, since when and why; nobody else does."""

import json
import stat
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from wardround.client.home import round_log
from wardround.client.home.round_log import LINE_BYTES, ComputedRound, RoundLog, noise_alone
from wardround.client.ledger.verify import export

NOW = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)


def plan(number, study="tea", account="training"):
    return SimpleNamespace(study=study, account=account, round=number)


def noted(path, *faults, account="training"):
    log = RoundLog(path)
    for number, fault in enumerate(faults, start=1):
        log.note(plan(number, account=account), fault, NOW + timedelta(hours=number))
    return log


def test_what_stands_is_the_run_of_faults_up_to_the_last_round(tmp_path):
    log = noted(tmp_path / "rounds.jsonl", "old", "", "first", "second")
    noted(tmp_path / "rounds.jsonl", "bad", "", account="held_out")
    (one,) = noise_alone(log.read())
    assert (one.study, one.account, one.first_round, one.last_round) == ("tea", "training", 3, 4)
    assert (one.since, one.last, one.fault) == (NOW + timedelta(hours=3), NOW + timedelta(hours=4), "second")
    log.note(plan(5), "", NOW)
    assert noise_alone(log.read()) == []


def test_every_line_has_one_length_whatever_it_says(tmp_path):
    path = tmp_path / "rounds.jsonl"
    log = noted(
        path, "", "messages: column opened is missing", "x" * 5000, "\n\x1b[2J" * 200, "é\U0001f600" * 300
    )
    assert path.stat().st_size == 5 * LINE_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = log.read()
    assert [one.round for one in lines] == [1, 2, 3, 4, 5]
    assert all(len(one.fault) <= 400 and one.fault.isprintable() for one in lines)


def test_a_line_cut_anywhere_costs_that_line_alone(tmp_path):
    path = tmp_path / "rounds.jsonl"
    noted(path, "a", "b")
    whole = path.read_bytes()
    for cut in range(LINE_BYTES, 2 * LINE_BYTES, 37):
        path.write_bytes(whole[:cut])
        RoundLog(path).note(plan(3), "c", NOW)
        assert [one.fault for one in RoundLog(path).read()][-1] == "c"
        assert RoundLog(path).read()[0].fault == "a"


@pytest.mark.parametrize("content", [b"", b"\xff" * 5000, b"[" * 5000, b'{"time": 1}\n', b"null\n{}\n\n"])
def test_what_is_no_line_is_left_out(tmp_path, content):
    (tmp_path / "rounds.jsonl").write_bytes(content)
    assert RoundLog(tmp_path / "rounds.jsonl").read() == []


def test_the_file_is_bounded_and_keeps_the_newest(tmp_path, monkeypatch):
    monkeypatch.setattr(round_log, "MOST_LINES", 8)
    log = noted(tmp_path / "rounds.jsonl", *(str(number) for number in range(1, 40)))
    rounds = [one.round for one in log.read()]
    assert 4 <= len(rounds) <= 8
    assert rounds == list(range(40 - len(rounds), 40))


def test_a_disk_that_takes_no_line_changes_no_answer(approved, caplog):
    (approved.folder / "rounds.jsonl").mkdir()
    with caplog.at_level("WARNING", "wardround.hospital"):
        approved.released(1)
        (approved.folder / "messages.csv").unlink()
        approved.released(2)
    assert caplog.messages.count("rounds.jsonl cannot be written (IsADirectoryError)") == 2
    assert len(approved.entries("charged")) == len(approved.entries("released")) == 2


def test_the_line_is_there_before_the_release_is_stored(approved, monkeypatch):
    seen = []
    ledger = approved.agent._ledger
    released = ledger.released

    def looked(*arguments):
        seen.append([one.round for one in RoundLog(approved.folder / "rounds.jsonl").read()])
        return released(*arguments)

    monkeypatch.setattr(ledger, "released", looked)
    approved.released(1)
    approved.released(1)  # a repeat computes nothing
    (approved.folder / "messages.csv").unlink()
    approved.released(2)
    assert seen == [[1], [1, 2]]
    faults = [one.fault for one in RoundLog(approved.folder / "rounds.jsonl").read()]
    assert faults[0] == ""
    assert faults[1].startswith("messages: no file ")


def test_neither_ledger_nor_reply_depends_on_it(approved, tables_of):
    """The same rounds with and without a fault: entries of the same kinds, fields and sizes, but for hashes."""
    shapes = []
    for number in (1, 2):
        if number == 2:
            (approved.folder / "messages.csv").unlink()
        size = len(approved.agent.answer(approved.request(number)).payload)
        entries = approved.agent._ledger.entries()[-2:]
        shapes.append((size, [(entry.kind, sorted(entry.fields)) for entry in entries]))
    assert shapes[0] == shapes[1]
    assert b"no file" not in bytes(export(approved.agent._ledger.entries()))


def test_lines_are_plain_values(tmp_path):
    assert noted(tmp_path / "rounds.jsonl", "a").read() == [
        ComputedRound(time=NOW + timedelta(hours=1), study="tea", account="training", round=1, fault="a")
    ]


@pytest.mark.parametrize(
    "changed", [{"study": ["tea"]}, {"study": "\x1b[2J"}, {"fault": {"a": 1}}, {"account": []}]
)
def test_a_line_of_other_types_is_no_line(tmp_path, changed):
    """A list in the study's place ended status and doctor in a fault of the program."""
    path = tmp_path / "rounds.jsonl"
    plain = {
        "time": "2026-01-01T00:00:00+00:00",
        "study": "tea",
        "account": "training",
        "round": 1,
        "fault": "x",
    }
    path.write_text(json.dumps({**plain, **changed}) + "\n" + json.dumps(plain))
    (one,) = noise_alone(RoundLog(path).read())
    assert (one.study, one.fault) == ("tea", "x")
