"""Two agents in one home: the second ends before it has touched anything."""

from pathlib import Path

import pytest

from wardround.client.agent.agent import run_agent
from wardround.client.agent.alone import only_agent
from wardround.client.main import main
from wardround.protocol.errors import ConfigurationError


def test_a_home_has_one_agent_at_a_time(tmp_path: Path) -> None:
    refused = pytest.raises(ConfigurationError, match="another agent is running")
    with only_agent(tmp_path), refused, only_agent(tmp_path):
        pytest.fail("two at once")
    with only_agent(tmp_path):
        pass


def test_a_second_agent_touches_nothing_however_late_the_first_one_listens(hospital) -> None:
    """It has no socket yet: by that alone the second would go on, and erase what the first one is writing."""
    hospital.stop()
    sums = hospital.folder / "sums"
    sums.mkdir()
    part = sums / "study.keys.part"
    part.write_bytes(b"half a secret")
    before = {path: path.stat().st_mtime_ns for path in hospital.folder.rglob("*")}
    with only_agent(hospital.folder / "keys"):
        with pytest.raises(ConfigurationError, match="another agent is running"):
            run_agent(hospital.folder)
        assert part.read_bytes() == b"half a secret"
        assert {path: path.stat().st_mtime_ns for path in hospital.folder.rglob("*")} == before


@pytest.mark.parametrize("words", [("restore", "backup"), ("recover", "--reason", "disk lost", "--yes")])
def test_no_ledger_is_put_in_place_beside_an_agent_that_is_starting(
    hospital, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """It has no socket for seconds: it would write into the file that was moved aside."""
    hospital.stop()
    before = (hospital.folder / "ledger.sqlite").read_bytes()
    with only_agent(hospital.folder / "keys"):
        assert main(["ledger", *words, "--home", str(hospital.folder)]) == 2
    assert "another agent is running" in capsys.readouterr().err
    assert (hospital.folder / "ledger.sqlite").read_bytes() == before


def test_a_folder_that_cannot_be_locked_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="cannot be opened"), only_agent(tmp_path / "none"):
        pytest.fail("no folder")

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(ConfigurationError, match="takes no lock"), only_agent(tmp_path):
        pytest.fail("no lock")
