"""SIGKILL between any two statements of a charge and a release: charged exactly once, bytes identical."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.builders import ROOT
from wardround.client.ledger.budget import Caps, Charge
from wardround.client.ledger.sqlite import create_ledger, open_ledger
from wardround.client.ledger.verify import export, verify
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.wire.signing import SigningKey, load_key, new_key, save_key

NOW, LATER = datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
OPERATOR = new_key().public
CAPS = Caps(delta=1e-5)
ROUND = Charge(
    operator=OPERATOR,
    study="tea",
    terms="a" * 64,
    round=1,
    weights_digest="b" * 64,
    event=PrivacyEvent(20.0, 1.0, 1),
)

# One process forks a child for each point: the child opens the ledger, takes the round, and kills itself
# before its nth statement, or after the last. It tells the ledger's statements, so that none is missed.
_SCRIPT = """
import os, signal, sys
from pathlib import Path
from datetime import UTC, datetime
from wardround.client.ledger.budget import Caps, Charge
from wardround.client.ledger.sqlite import open_ledger
from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.protocol.wire.signing import load_key

folder, operator, runs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
key = load_key(folder / "hospital.key")
now, later = datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
charge = Charge(operator=operator, study="tea", terms="a" * 64, round=1, weights_digest="b" * 64,
                event=PrivacyEvent(20.0, 1.0, 1))

def take(name, die_at):
    ledger, seen = open_ledger(folder / name, key, "test"), []
    def step(statement):
        seen.append(statement)
        if len(seen) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
    ledger._store._db.set_trace_callback(step)
    receipt = ledger.charge(charge, Caps(delta=1e-5), now)
    sent = receipt.stored or ledger.released(charge, os.urandom(64), later, now)
    (folder / (name + ".sent")).write_bytes(sent)
    os.kill(os.getpid(), signal.SIGKILL)

for number in range(1, runs + 1):
    if os.fork() == 0:
        take(f"ledger{number}.db", number)
    status = os.wait()[1]
    print(os.WTERMSIG(status), flush=True)
"""
POINTS = 24


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SigningKey]:
    """Ledgers 1 to POINTS, each of whose agents was killed before its nth statement."""
    folder = tmp_path_factory.mktemp("killed")
    save_key(new_key(), folder / "hospital.key")
    key = load_key(folder / "hospital.key")
    for number in range(1, POINTS + 1):
        create_ledger(folder / f"ledger{number}.db", key, "test", NOW).close()
    output = subprocess.run(
        [sys.executable, "-P", "-c", _SCRIPT, str(folder), OPERATOR, str(POINTS)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert output.split() == ["9"] * POINTS
    return folder, key


@pytest.mark.parametrize("point", range(1, POINTS + 1))
def test_killed_anywhere_a_round_is_charged_once_and_answered_alike(
    killed: tuple[Path, SigningKey], point: int
) -> None:
    folder, key = killed
    ledger = open_ledger(folder / f"ledger{point}.db", key, "test")
    spent_before = ledger.spent("training", 1e-5)
    receipt = ledger.charge(ROUND, CAPS, NOW)
    answer = receipt.stored or ledger.released(ROUND, b"computed after the restart", LATER, NOW)
    assert ledger.charge(ROUND, CAPS, NOW).stored == answer
    assert [entry.kind for entry in ledger.entries(1)] == ["charged", "released"]
    assert ledger.spent("training", 1e-5) == compose_epsilon([ROUND.event], 1e-5)
    assert receipt.repeat == (spent_before > 0)
    sent = folder / f"ledger{point}.db.sent"
    if sent.exists():  # what left before the kill is what a repeat gets
        assert sent.read_bytes() == answer
    verify(export(ledger.entries()), key.public, receipt.head)
    ledger.close()


def test_the_points_reach_from_before_the_charge_to_after_the_release(
    killed: tuple[Path, SigningKey],
) -> None:
    folder, _ = killed
    sent = [(folder / f"ledger{point}.db.sent").exists() for point in range(1, POINTS + 1)]
    assert sent == sorted(sent)
    assert not sent[0]
    assert sent[-1]
    assert sent.index(True) >= 12
