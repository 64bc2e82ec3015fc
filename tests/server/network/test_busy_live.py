"""A real SuperLink that stands still, as on a machine that has too much to do: the study's run and replies stay."""

import sqlite3
import threading
from contextlib import closing, contextmanager

import pytest

from tests.server.network.live_superlink import AnsweringNode, ask, provisioned, standing_still
from wardround.server.network import study_calls
from wardround.server.network.superlink import open_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.flower,
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),  # Flower's, of pathspec
]


def part(letter):
    return b"Message  1\x00" + letter


def replies(grid, asked):
    return [(reply.metadata.reply_to_message_id, reply.has_error()) for reply in grid.pull_messages(asked)]


@contextmanager
def written_to(database, seconds):
    """Somebody else writes to the database meanwhile: whoever would write waits."""
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = threading.Timer(seconds, other.execute, ("ROLLBACK",))
        done.start()
        try:
            yield
        finally:
            done.join()


def test_a_server_that_stood_still_for_longer_than_flower_waits_has_run_and_replies(tmp_path):
    live = provisioned(tmp_path)
    with live.up(), live.client() as client, open_run(live.home, tmp_path / "run") as grid:
        north = AnsweringNode(live, client, grid.run.run_id)
        (asked,) = ask(grid, north.node.node_id, 1)
        assert north.answer(asked, part(b"1")).stored
        with standing_still(live.pid, 40.0):
            assert replies(grid, [asked]) == [(asked, False)]


def test_calls_that_are_made_again_while_the_first_goes_on_lose_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(study_calls, "ANSWER_SECONDS", 1.0)
    live = provisioned(tmp_path)
    database = live.home.folder / "superlink" / "state.sqlite"
    with live.up(), live.client() as client, open_run(live.home, tmp_path / "run") as grid:
        north = AnsweringNode(live, client, grid.run.run_id)
        first, second = ask(grid, north.node.node_id, 2)
        assert north.answer(first, part(b"1")).stored
        with written_to(database, 6.0):
            assert replies(grid, [first, second]) == [(first, False)]
        with written_to(database, 6.0):
            (third,) = ask(grid, north.node.node_id, 1)
        for one, letter in ((second, b"2"), (third, b"3")):
            assert north.answer(one, part(letter)).stored
        assert sorted(replies(grid, [second, third])) == sorted([(second, False), (third, False)])
