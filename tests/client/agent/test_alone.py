"""Two agents in one home: the second ends before it has touched anything."""

from pathlib import Path

import pytest

from wardround.client.agent.agent import run_agent
from wardround.client.agent.alone import only_agent
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
