"""The hospital's guide works as it is written: its commands, one after the other, from an empty folder."""

import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.builders import ROOT
from wardround.protocol.model.model import initial_weights
from wardround.protocol.terms.terms import RoundPlan
from wardround.protocol.wire.envelope import SignedRelease, decode_answer, sign_request
from wardround.protocol.wire.signed_terms import load_terms
from wardround.protocol.wire.signing import load_key

GUIDE = (ROOT / "docs/hospital.md").read_text(encoding="utf-8")
PROGRAMS = {"wardround-hospital": "wardround.client.main", "wardround-serve": "wardround.server.main"}
BLOCK = re.compile(r"^```console\n(\$ .*?)^```", re.MULTILINE | re.DOTALL)
# What another machine, another day or another key says otherwise.
VARIES = re.compile(
    r"/srv|…|warn|versions|opacus|disk|ε = |^ *[0-9a-f ]+$|[a-z0-9]{4} [a-z0-9]{4}|NTP|encrypted|consents\."
)
TEN_MINUTES = 600


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def program(line: str) -> list[str]:
    """The guide's line as this checkout runs it."""
    words = shlex.split(line.removeprefix("$ "))
    if words[0] == "python":
        return [sys.executable, *words[1:]]
    return [sys.executable, "-P", "-m", PROGRAMS[words[0]], *words[1:]]


def steps() -> list[tuple[str, list[str]]]:
    """Commands in the guide's order, each with the lines that it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall(GUIDE):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append((line, []))
            else:
                found[-1][1].append(line)
    return found


def codec(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", text)


def ask(folder: Path) -> SignedRelease:
    """Ask for the first round, as the operator's server does."""
    raw, terms = (folder / "spring.terms").read_bytes(), load_terms(folder / "spring.terms").terms
    plan = RoundPlan(
        study=terms.study,
        hospital="north",
        round=1,
        terms_fingerprint=terms.fingerprint,
        weights=initial_weights(terms.model, terms.contract.layout).astype("float32"),
    )
    lives = datetime.now(UTC) + timedelta(hours=1)
    request = sign_request(raw, plan, lives, load_key(folder / "operator.key"))
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(folder / "north/run/agent.sock"))
        door.sendall(struct.pack("<I", len(request)) + request)
        (length,) = struct.unpack("<I", door.recv(4, socket.MSG_WAITALL))
        answer = decode_answer(door.recv(length, socket.MSG_WAITALL))
    assert isinstance(answer, SignedRelease)
    return answer


def first_release(folder: Path) -> str:
    """Start the agent, wait until it listens, ask, stop it; what it logged."""
    log = folder / "agent.log"
    with log.open("wb") as file:
        command = program("$ wardround-hospital agent --home north")
        agent = subprocess.Popen(command, cwd=folder, env=environment(), stderr=file)
    try:
        for _ in range(600):
            if "listening" in log.read_text():
                break
            time.sleep(0.1)
        assert ask(folder).release.round == 1
    finally:
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(60) == 0
    return log.read_text()


@pytest.mark.slow
def test_from_an_empty_folder_to_a_first_release_in_ten_minutes(tmp_path: Path) -> None:
    started = time.monotonic()
    commands = [line for line, _ in steps()]
    order = [
        "serve key",
        "serve terms",
        "init",
        "invented",
        "doctor",
        "forecast",
        "rehearse",
        "approve",
        "status",
    ]
    assert all(word in line for word, line in zip(order, commands, strict=True))
    logged = ""
    for line, promised in steps():
        if " status" in line:
            logged = first_release(tmp_path)
        ran = subprocess.run(
            program(line), cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300
        )
        assert (ran.returncode, ran.stderr) == (0, ""), line
        said = codec(ran.stdout)
        for text in promised:
            missing = f"{line} does not print: {text}\n{ran.stdout}"
            assert VARIES.search(text) or " agent " in text or codec(text) in said, missing
    for text in ("listening at ", "tables read and encoded", "study spring, round 1: answered"):
        assert text in GUIDE
        assert text in logged
    assert time.monotonic() - started < TEN_MINUTES
