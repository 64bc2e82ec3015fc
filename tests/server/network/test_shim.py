"""The shipped app: forwards bytes to an agent that is there, waits for one that is away, and knows nothing."""

import ast
import contextlib
import importlib.util
import socket
import subprocess
import sys
import threading
import time
import tomllib
import warnings

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.cli.build import build_fab_from_disk
from flwr.supercore.task_identity import TaskIdentity

from tests.builders import ROOT
from wardround.client.network.known_app import SHIM_DIGEST, digest

FOLDER = ROOT / "server/network/shim"


@pytest.fixture(scope="module")
def shim():
    spec = importlib.util.spec_from_file_location("shim", FOLDER / "shim.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.PAUSE_SECONDS = 0.01
    return module


class FakeAgent:
    """Answers each connection by the next of its turns: bytes to send as they are, or None to hang up at once."""

    def __init__(self, path, turns):
        self.received = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.socket.settimeout(60)
        self.thread = threading.Thread(target=self.serve, args=(turns,))
        self.thread.start()

    def serve(self, turns):
        for turn in turns:
            try:
                client, _ = self.socket.accept()
            except OSError:  # nobody came before the end
                return
            with client:
                if turn is None:
                    continue
                (length,) = np.frombuffer(client.recv(4, socket.MSG_WAITALL), "<u4")
                self.received.append(client.recv(int(length), socket.MSG_WAITALL))
                client.sendall(turn)

    def stop(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # whoever still waits for a connection stops
        self.thread.join(60)
        self.socket.close()


def framed(answer):
    return len(answer).to_bytes(4, "little") + answer


@pytest.fixture
def agent(tmp_path):
    made = []

    def make(*turns):
        made.append(FakeAgent(tmp_path / "agent.sock", turns))
        return made[0]

    yield make
    for one in made:
        one.stop()


def message(head=b"head", seconds=60.0):
    weights = np.arange(3, dtype="<f4").tobytes()
    records = {
        "plan": ConfigRecord({"head": head}),
        "weights": ArrayRecord({"weights": Array("float32", (3,), "float32.le", weights)}),
    }
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    return Message(RecordDict(records), 7, MessageType.TRAIN, ttl=seconds), b"head" + weights


def reply_of(shim, path, asked):
    context = Context(1, 7, {"agent": str(path)}, RecordDict(), {})
    return shim.app(asked, context).content["answer"]


def test_it_forwards_head_and_weights_and_brings_the_answer_back(shim, agent, tmp_path):
    one = agent(framed(b"\x00any bytes"))
    asked, whole = message()
    assert reply_of(shim, tmp_path / "agent.sock", asked)["answer"] == b"\x00any bytes"
    one.stop()
    assert one.received == [whole]


def test_it_asks_again_when_the_agent_hangs_up_or_answers_in_part(shim, agent, tmp_path):
    too_long = (2**31).to_bytes(4, "little")
    one = agent(None, b"", framed(b"answer")[:-2], too_long, framed(b"answer"))
    asked, whole = message()
    assert reply_of(shim, tmp_path / "agent.sock", asked)["answer"] == b"answer"
    one.stop()
    assert one.received == [whole] * 4


def test_it_waits_for_an_agent_that_starts_late(shim, agent, tmp_path):
    asked, _ = message()
    later = threading.Timer(0.3, agent, [framed(b"answer")])
    later.start()
    assert reply_of(shim, tmp_path / "agent.sock", asked)["answer"] == b"answer"
    later.join()


def test_without_an_agent_it_says_late_when_the_message_expires(shim, tmp_path):
    begun = time.time()
    asked, _ = message(seconds=0.5)
    assert dict(reply_of(shim, tmp_path / "nobody.sock", asked)) == {"late": True}
    assert time.time() - begun >= 0.4


def test_it_imports_flower_and_the_standard_library_alone():
    tree = ast.parse((FOLDER / "shim.py").read_text())
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert imported <= {*sys.stdlib_module_names, "flwr"}
    script = "import shim, sys; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=FOLDER, check=True, capture_output=True, text=True
    )
    assert not {"torch", "opacus", "polars", "client", "protocol", "server"} & set(loaded.stdout.split())


def test_its_bundle_holds_one_file_of_code():
    config = tomllib.loads((FOLDER / "pyproject.toml").read_text())
    assert "_" not in FOLDER.name
    assert config["tool"]["flwr"]["app"]["components"]["clientapp"] == "shim:app"
    assert config["tool"]["flwr"]["app"]["fab-include"] == ["shim.py"]
    assert config["project"]["dependencies"] == []
    assert {path.name for path in FOLDER.iterdir() if path.name != "__pycache__"} == {
        "shim.py",
        "pyproject.toml",
    }


def test_hospitals_of_this_release_know_this_shim():
    """Whoever changes the shim puts its new digest into client/network/known_app.py, or no hospital runs it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Flower's, of pathspec
        shipped = digest(build_fab_from_disk(FOLDER))
    assert shipped == SHIM_DIGEST, f"set SHIM_DIGEST in client/network/known_app.py to {shipped}"
