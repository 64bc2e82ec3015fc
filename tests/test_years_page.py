"""docs/years.md, replayed: what both sides do once in a while works as written, and stops who it shall stop."""

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import ROOT
from tests.client.outreach.decide.outreach_home import GRACE, IDA, propose, say_chosen_by, write_outreach
from tests.client.small_hospital import Hospital
from wardround.client.connectors.withdrawals import WITHDRAWALS, Withdrawal, WithdrawalList
from wardround.client.home.home import load_home
from wardround.client.home.policy_peers import write_peers
from wardround.client.main import main as hospital_main
from wardround.client.outreach.by_page.keys import load_page_keys
from wardround.client.outreach.journal.journal import open_journal
from wardround.client.policy.peers import Peer
from wardround.protocol.model.model import parameter_count
from wardround.protocol.model.model_file import model_bytes
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.wire.kit import load_join_request, load_kit
from wardround.protocol.wire.signed_model import MODEL, sign_files
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.protocol.wire.signing import key_fingerprint
from wardround.server.main import main as server_main
from wardround.server.store.event_log import EventLog
from wardround.server.store.held_heads import HeldHeads
from wardround.server.store.operator_home import load_operator_home

PAGE = (ROOT / "docs/years.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^ *```console\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def part(heading: str) -> list[tuple[str, str]]:
    """Give the commands under a heading in their order, each with what it is said to print."""
    text = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (found,) = [one for one in text if one.startswith(f"{heading}\n")]
    steps: list[tuple[str, str]] = []
    for block in BLOCK.findall(found):
        for line in re.sub(r"\\\n *", "", block).splitlines():
            command = line.strip().removeprefix("$ ")
            if command != line.strip():
                steps.append((command, ""))
            else:
                steps[-1] = (steps[-1][0], command)
    return steps


def letters(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", text)


class Replay:
    """Runs command lines in this process, in a folder with the homes op, north and south, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys, self.ran = monkeypatch, capsys, 0

    def __call__(self, line: str, promised: str = "", fill: Mapping[str, str] = {}, code: int = 0) -> str:
        words = [fill.get(word, word) for word in shlex.split(line)]
        self.ran += 1
        if words[0] == "wardround-hospital":
            got = hospital_main(words[1:])
        elif words[0] == "wardround-serve":
            self._patch.setattr(sys, "argv", words)
            got = server_main()
        else:
            got = subprocess.run(words, check=True, timeout=30).returncode
        said = self._capsys.readouterr()
        assert got == code, (line, said.err)
        assert letters(promised) in letters(said.out), (line, said.out)
        return said.out + said.err


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Replay:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)
    replay = Replay(monkeypatch, capsys)
    replay("wardround-serve provision --hospital north --hospital south --out . --home op")
    return replay


@pytest.fixture
def north(replay: Replay) -> Any:
    """A hospital after two rounds of a study; its operator holds the newest head."""
    north = Hospital(Path("north"), operator=load_operator_home(Path("op")).key())
    replay(f"wardround-hospital join north.kit --home north --fingerprint '{kit()}'")
    replay(
        f"wardround-serve enrol --home op --request north/north.request --fingerprint '{request('north')}'"
    )
    (north.folder / "terms").mkdir(exist_ok=True)
    save_terms(sign_terms(north.terms, north.operator), north.folder / "terms/tea.terms")
    north.approve()
    for number in (1, 2):
        HeldHeads(Path("op/heads")).keep("north", north.released(number).release.ledger_head)
    replay.ran = 0
    return north


def kit(name: str = "north.kit") -> str:
    return load_kit(Path(name)).fingerprint


def request(home: str) -> str:
    return load_join_request(Path(home) / "north.request").fingerprint


def enrolled() -> Mapping[str, Any]:
    return load_operator_home(Path("op")).hospitals()


@pytest.mark.slow
def test_the_commands_for_a_breach_do_what_the_page_says(north: Any, replay: Replay) -> None:
    steps = part("A hospital is breached")
    revoke, verify, no_key, join, enrol, aside, page_keys, back, begin, *copies, recover, anew, remove = steps
    replay("wardround-hospital preferences begin --home north")
    links = load_page_keys(north.folder)[1].secret
    held = HeldHeads(Path("op/heads")).newest("north") or ""
    before, stolen = north.epsilon, enrolled()["north"]
    shutil.copy("north/north.request", "stolen.request")
    WithdrawalList(north.folder / WITHDRAWALS).add(
        [Withdrawal(patient="patient-3", consent="all", why="stop", at=NOW)]
    )
    (north.folder / "recalls").mkdir()
    Hospital(Path("south"), "south", north.operator)
    write_peers(Path("south/policy.yaml"), {"north": Peer(key=north.key.public, since="2026-06-01")})
    north.stop()

    replay(*revoke)
    assert "north" not in enrolled()
    said = replay(*verify, {"HEAD": held})
    assert "whole up to the held head" in said
    replay(*no_key)
    replay(*join, {"KIT": kit()})
    replay(*enrol, {"REQUEST": request("north")})
    assert enrolled()["north"].node_key != stolen.node_key
    assert enrolled()["north"].signing_key == stolen.signing_key

    for step in (aside, page_keys, back):
        replay(*step)
    assert [one.secret == links for one in load_page_keys(north.folder).values()] == [False]

    # The signing key too: the operator takes it out again before the new home begins.
    replay(*revoke)
    replay(*begin, {"KIT": kit()})
    for copy in copies:
        replay(*copy)
    replay(*recover, {"HEAD": held})
    replay(*anew, {"REQUEST": request("anew")})
    assert enrolled()["north"].signing_key not in (stolen.signing_key, north.key.public)
    # Who stole the keys asks with them: refused, though the operator would type the thief's own fingerprint.
    thief = load_join_request(Path("stolen.request")).fingerprint
    line = f"wardround-serve enrol --home op --request stolen.request --fingerprint '{thief}'"
    assert "is enrolled with another signing key" in replay(line, code=2)
    replay(*remove)
    assert "north" not in Path("south/policy.yaml").read_text().partition("peers:")[2]

    home = load_home(Path("anew"))
    assert home.patients_key == load_home(north.folder).patients_key
    assert [one.patient for one in home.withdrawals.standing()] == ["patient-3"]
    ledger = home.open_ledger()
    assert ledger.knows(held)
    assert ledger.spent("training", 1e-5) >= before > 0
    assert ledger.decision(north.terms.fingerprint, north.operator.public) is None
    ledger.close()
    assert replay.ran == len(steps) + 3  # revoked twice; the thief; the page's first keys


@pytest.fixture
def model(north: Any) -> Path:
    """The study's model at both sides: it chose two of the messages that wait at north, one of them approved."""
    key, contract = north.operator, north.terms.contract
    weights = np.linspace(-2, 2, parameter_count(ModelSettings(), contract.layout))
    marks = {"study": "tea", "terms_fingerprint": north.terms.fingerprint, "simulation": "false"}
    marks |= {"releasable": "yes", "usable_until": "2990-01-01"}
    content = model_bytes(contract, ModelSettings(), weights, marks)
    study = load_operator_home(Path("op")).study("tea")
    study.folder.mkdir(parents=True)
    save_terms(sign_terms(north.terms, key), study.terms)
    study.model.write_bytes(content)
    EventLog(study.events, quiet=True).write("finished", releasable=True)
    model = Path(MODEL)
    model.write_bytes(content)
    Path("model.signature").write_bytes(
        sign_files(key, "tea", north.terms.fingerprint, {MODEL: content}, None)
    )
    north.stop()
    write_outreach(north)
    propose(north, 1, 2, 3)
    say_chosen_by(north, hashlib.sha256(content).hexdigest(), north.terms.fingerprint, 1, 2)
    for person in (GRACE, IDA):
        assert hospital_main(["outreach", "approve", "1", "--yes", "--home", "north", *person]) == 0
    return model


@pytest.mark.slow
def test_the_commands_for_a_recall_do_what_the_page_says(north: Any, model: Path, replay: Replay) -> None:
    recall, record, again = part("A model is recalled")
    score = f"wardround-hospital score {model} scores.csv --home north"
    replay(*recall)
    assert "recalled: send model.recall" in replay("wardround-serve status --home op --json")
    replay(score)  # who does not record it goes on
    Path("scores.csv").unlink()

    shutil.copy("op/studies/tea/model.recall", ".")
    replay(*record)
    Path("model.recall").unlink()  # beside the model it would count unrecorded
    refused = (
        f"wardround-hospital score {model} scores.csv --home north --accept-not-releasable x --person ada"
    )
    assert "scores of one group are inverted" in replay(refused, code=2)
    assert "must not be used" in replay(f"wardround-hospital outreach propose {model} --home north", code=2)
    assert not Path("scores.csv").exists()
    with open_journal(north.folder) as journal:
        assert journal.counts()["approved"] == 1
    queue = json.loads(replay("wardround-hospital outreach queue --home north --person grace --json"))
    assert {one["id"]: one["state"] for one in queue["waiting"]}[2] == "recalled"
    approve = "wardround-hospital outreach approve 2 --yes --home north --person grace --reason x"
    assert "its operator recalled" in replay(approve, code=2)

    assert "Void: 2 (its model was recalled)" in replay(*again)
    with open_journal(north.folder) as journal:
        waiting = journal.proposals(("proposed", "approved"))
        assert [one.model for one in waiting] == [""] * 12  # everybody who is due, by the standard message
    assert replay.ran == 9


@pytest.mark.slow
def test_a_hospital_that_leaves_answers_nothing_any_more(north: Any, replay: Replay) -> None:
    decline, revoke = part("A hospital leaves")
    north.stop()
    replay(*decline)
    assert north.clause(3) == "approval"
    north.stop()
    replay(*revoke, {"KEY": north.operator.public})
    assert north.clause(3) == "operators"
    north.approve()
    assert north.clause(3) == "operators"
    north.stop()


@pytest.mark.slow
def test_a_hospital_follows_its_operator_to_a_new_key(north: Any, replay: Replay) -> None:
    rotate, listed, join = part("The operator's key is lost or stolen")
    spent = north.epsilon
    north.stop()
    replay("wardround-serve provision --hospital north --out new --home op-new")
    shutil.copy("new/north.kit", "new.kit")
    new = load_operator_home(Path("op-new")).key()
    refused = replay(f"wardround-hospital join new.kit --home north --fingerprint '{kit('new.kit')}'", code=2)
    assert "does not list" in refused
    replay(*rotate, {"OLD": north.operator.public, "NEW": new.public})
    assert key_fingerprint(new.public) in replay(*listed)
    replay(*join, {"KIT": kit("new.kit")})
    assert north.clause(3) == "operators"  # whoever has the old key gets nothing
    assert north.epsilon == spent
    north.stop()
