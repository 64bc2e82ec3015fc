"""Release 0.1.0, really installed, beside today's: an old agent and a new server, and the reverse; nothing is charged.

0.1.0 said no protocol's number, and reads none. What we print of it is one line; what it prints of us is its own.
"""

import json
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.release_0_1_0 import home
from tests.release_0_1_0.installed import install_0_1_0
from tests.simulations.loopback import ask_once
from tests.simulations.loopback.one_agent import agent_running, charged_rounds
from wardround.client.home.home import load_home
from wardround.protocol.wire.speaker import this_speaker

pytestmark = pytest.mark.slow

TOO_OLD = f"a message of release 0.1.0, too old for {this_speaker()}: upgrade who sent it"
SERVE, HOSPITAL = "wardround.server.main", "wardround.client.main"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with 0.1.0."""
    return install_0_1_0(tmp_path_factory.mktemp("old"))


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """What 0.1.0 left, its policy as the upgrade asks for it."""
    folder = home.unpack(tmp_path / "left")
    policy = folder / "north/policy.yaml"
    policy.write_text(policy.read_text().replace("contracts: [synthetic]", "contracts: []"))
    return folder


def run(python: str, *words: object) -> subprocess.CompletedProcess[str]:
    line = [python, "-P", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)


def agent(python: str, module: str, left: Path) -> AbstractContextManager[None]:
    """Run north's agent; what it logged stands in agent.log."""
    return agent_running(python, module, load_home(left / "north"), left / "agent.log")


def charges(left: Path) -> list[object]:
    return list(charged_rounds(load_home(left / "north")).elements())


def test_an_agent_of_0_1_0_answers_a_new_server_nothing_that_counts(old: str, left: Path) -> None:
    key, terms = left / "operator/operator.key", left / "new.terms"
    settings = ("--study=new", "training.rounds=2", "training.public_patients={north: 200}")
    signed = run(sys.executable, "-m", SERVE, "terms", "--key", key, "--out", terms, *settings)
    assert signed.returncode == 0, signed.stderr
    with agent(old, "client.main", left):
        asked = run(
            sys.executable, ask_once.__file__, left / "operator", terms, left / "north/run/agent.sock"
        )
    assert asked.returncode == 0, asked.stderr
    told = {"released": False, "result": f"its agent answered with {TOO_OLD}", "by": "None"}
    assert json.loads(asked.stdout) == told
    assert charges(left) == [1, 2]  # as 0.1.0 left them


def test_a_server_of_0_1_0_is_refused_by_a_new_agent_in_one_line(old: str, left: Path) -> None:
    ask = Path(home.__file__).with_name("ask.py")
    with agent(sys.executable, HOSPITAL, left):
        asked = run(old, ask, left / "operator", left / "north/run/agent.sock")
    assert (asked.returncode, asked.stdout) == (0, "malformed\n"), asked.stderr
    log = (left / "agent.log").read_text()
    assert f"refused: message: {TOO_OLD}" in log
    assert "Traceback" not in log
    assert charges(left) == [1, 2]


def test_a_new_kit_begins_nothing_with_0_1_0(old: str, left: Path) -> None:
    made = run(
        sys.executable,
        "-m",
        SERVE,
        "provision",
        "--hospital=south",
        "--out",
        left / "new",
        "--home",
        left / "op",
    )
    assert made.returncode == 0, made.stderr
    joined = run(old, "-m", "client.main", "join", left / "new/south.kit", "--home", left / "south")
    (line,) = joined.stderr.splitlines()
    assert (joined.returncode, line) == (
        2,
        f"file={left / 'new/south.kit'}: is not a file of the format wardround-kit-1",
    )
    assert not (left / "south").exists()
