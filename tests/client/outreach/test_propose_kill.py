"""SIGKILL before each statement that ``propose`` gives the journal: run again, it ends as if nothing had happened."""

import os
import subprocess
import sys

import pytest

from tests.builders import ROOT
from tests.client.outreach.proposing import TRIGGERS, grounds
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.propose import propose

NAMES = range(1, 5)
BEFORE = {
    "consents": "\n".join(f"P{n},purpose,reach,2026-01-01,," for n in NAMES),
    "addresses": "\n".join(f"P{n},sms,555 0100 00{n},2026-01-01" for n in NAMES),
    "appointments": "\n".join(f"P{n},2026-12-12 10:00,booked" for n in (1, 2, 3)),
    "recalls": "",
}
AFTER = {
    **BEFORE,
    "preferences": "P1,contact,,no,2026-12-09",
    "appointments": "P1,2026-12-12 10:00,booked\nP2,2026-12-12 10:00,confirmed\nP3,2026-12-12 10:00,booked\n"
    "P4,2026-12-12 10:00,booked\nP5,2026-12-12 10:00,booked",
    "recalls": "P4,flu,2026-12-01,",
}
"""Between both runs one opts out, one confirms, one is new, one has no consent, one is above the cap."""
SETTINGS = TRIGGERS + "  flu: {when: due, topic: visits, days: [0, 30], standard: [visit-sms]}\n"

_DRIVER = """
import os, signal, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.client.outreach.test_propose_kill import AFTER, SETTINGS
from tests.client.outreach.proposing import grounds
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.propose import propose

class Counted:
    def __init__(self, real, steps):
        self.real, self.steps = real, steps
    def __getattr__(self, name):
        call = getattr(self.real, name)
        if not callable(call):
            return call
        def counted(*arguments):
            if self.steps == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.steps -= 1
            return call(*arguments)
        return counted

folder = Path({folder!r})
for step in range(200):
    # Before polars has threads: a child has none but its own.
    child = os.fork()
    if child == 0:
        journal = Journal(folder / f"{{step}}.sqlite")
        journal._db = Counted(journal._db, step)
        propose(journal, grounds(folder / f"{{step}}", SETTINGS, **AFTER))
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(step)
"""


def left(journal: Journal) -> tuple[object, ...]:
    proposals = sorted((one.token, one.trigger, one.module, one.state) for one in journal.proposals())
    decisions = sorted((one.act, one.reason) for one in journal.decisions())
    return proposals, decisions, journal.held().drop("made_at").sort("token", "trigger").rows()


@pytest.mark.slow
def test_a_kill_at_each_step_of_propose_proposes_nothing_twice_and_loses_nobody(tmp_path):
    for step in range(60):
        with Journal(tmp_path / f"{step}.sqlite") as journal:
            if step == 0:
                propose(journal, grounds(tmp_path / "begin", SETTINGS, **BEFORE))
        if step:
            (tmp_path / f"{step}.sqlite").write_bytes((tmp_path / "0.sqlite").read_bytes())
    driver = _DRIVER.format(root=str(ROOT), folder=str(tmp_path))
    ended = subprocess.run(
        [sys.executable, "-c", driver], capture_output=True, timeout=300, check=True, cwd=ROOT, env=os.environ
    )
    steps = int(ended.stdout)
    assert 10 < steps < 60
    with Journal(tmp_path / f"{steps}.sqlite") as journal:
        right = left(journal)
    assert [one[3] for one in right[0]].count("proposed") == 2
    middle = set()
    for step in range(steps):
        with Journal(tmp_path / f"{step}.sqlite") as journal:
            middle.add(repr(left(journal)))
            propose(journal, grounds(tmp_path / str(step), SETTINGS, **AFTER))
            assert left(journal) == right
    assert len(middle) > 2  # they were killed in different places
