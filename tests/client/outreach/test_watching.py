"""``watch``: a run at once, at every change, from time to time; and an end by signal."""

import os
import signal
import threading

import pytest

from tests.client.outreach.proposing import grounds
from tests.client.outreach.tables_of_outreach import HEADS
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.propose import propose
from wardround.client.outreach.watching import AGAIN_SECONDS, stamps_of, watch
from wardround.protocol.until_stopped import until_stopped

TABLES = {
    "consents": "P1,purpose,reach,2026-01-01,,",
    "addresses": "P1,sms,555 0100 001,2026-01-01",
    "appointments": "",
}


def test_a_change_of_a_table_is_proposed_at_the_next_look(tmp_path):
    """The whole way, with an export that is written in between; no clock is waited for."""
    ground = grounds(tmp_path / "tables", **TABLES)
    appointments = tmp_path / "tables/appointments.csv"
    looks = iter(range(4))
    seen = []

    def wait(seconds):
        look = next(looks)
        if look == 1:
            appointments.write_text(HEADS["appointments"] + "\nP1,2026-12-12 10:00,booked\n")
        return look == 3

    with Journal(tmp_path / "outreach.sqlite") as journal:

        def run():
            seen.append(propose(journal, ground).by_trigger["visit"]["proposed"])

        runs = watch(run, lambda: stamps_of(ground.source, iter(())), wait, lambda: 0.0)
    assert (runs, seen) == (2, [0, 1])


@pytest.mark.parametrize(("stamps", "runs"), [({}, 1), (None, 5)])
def test_without_files_every_look_is_a_run(stamps, runs):
    looks = iter(range(5))
    assert watch(lambda: None, lambda: stamps, lambda seconds: next(looks) == 4, lambda: 0.0) == runs


def test_time_alone_is_a_reason_to_run():
    clock = iter([0.0, 0.0, AGAIN_SECONDS - 1, AGAIN_SECONDS, AGAIN_SECONDS, AGAIN_SECONDS + 1])
    looks = iter([False, False, False, True])
    assert watch(lambda: None, dict, lambda seconds: next(looks), lambda: next(clock)) == 2


def test_a_signal_ends_it_and_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with until_stopped() as wait:
        assert not wait(0.0)
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert wait(30.0)
    assert signal.getsignal(signal.SIGTERM) is before
