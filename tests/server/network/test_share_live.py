"""An enrolled hospital that fills its share of a running SuperLink, and what it cannot do beyond that.

Must show: database and memory are bounded, also by way of restarts. Figures: docs/operator.md.
"""

import math
from contextlib import ExitStack, suppress

import httpx
import pytest
from flwr.proto.message_pb2 import PullObjectRequest
from flwr.supercore.inflatable.inflatable_object import get_object_id

from tests.server.network.live_superlink import MIB, AnsweringNode, ask, peak, provisioned, resident, settled
from wardround.server.network.doorkeeper import LARGEST_BODY
from wardround.server.network.laid import MOST_BYTES
from wardround.server.network.superlink import ServerAway, open_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.flower,
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),  # Flower's, of pathspec
]
BUSY = 503
JOURNALS = 32 * MIB  # of the database's files, beside what is stored


class Hostile(AnsweringNode):
    """An enrolled node that answers as it likes."""

    def fill(self, asked):
        """Lay down the largest parts that there are until refused; how many were stored."""
        for number, one in enumerate(asked):
            body = bytes(LARGEST_BODY - MIB) + one.encode()
            content = b"Message  %d\x00%s" % (len(body), body)
            try:
                assert self.answer(one, content).stored
            except httpx.HTTPStatusError as error:
                if error.response.status_code == BUSY:
                    return number
                raise
            self.push(get_object_id(content), b"")  # must not count in the place of the large one
        return len(asked)


def test_what_an_enrolled_hospital_fills_is_bounded_also_by_way_of_a_restart(tmp_path):
    live = provisioned(tmp_path)
    with ExitStack() as stack:
        # The run stays open over both fills; the server that it was claimed from is gone at its end.
        stack.enter_context(suppress(ServerAway))
        with live.up(), live.client() as client:
            idle, disk = resident(live.pid), live.disk()
            grid = stack.enter_context(open_run(live.home, tmp_path / "run"))
            hostile = Hostile(live, client, grid.run.run_id)
            asked = ask(grid, hostile.node.node_id, 8)
            stored = hostile.fill(asked)
            filled, most = live.disk() - disk, peak(live.pid) - idle
            client.close()
            after = settled(live.pid, idle + 50 * MIB) - idle
        with live.up(b"ControlServicer.ListNodes"), live.client() as client:
            again = Hostile(live, client, grid.run.run_id, hostile.node)
            more = again.fill(asked[stored + 1 :])
            refilled = live.disk() - disk
    print(
        f"\nidle {idle / MIB:.0f} MiB, at most +{most / MIB:.0f}, after +{after / MIB:.0f}; {stored} parts are "
        f"{filled / MIB:.0f} MiB on disk; after a restart {more} more, {refilled / MIB:.0f} MiB"
    )
    assert stored == 4
    assert filled < MOST_BYTES + JOURNALS
    assert most < 6 * LARGEST_BODY
    assert after < 100 * MIB
    assert more == 0
    assert refilled < MOST_BYTES + JOURNALS


def test_no_answer_of_one_hospital_keeps_the_operator_from_the_others_or_writes_into_the_log(tmp_path):
    live = provisioned(tmp_path)
    with live.up(), live.client() as client, open_run(live.home, tmp_path / "run") as grid:
        hostile = Hostile(live, client, grid.run.run_id)
        asked = ask(grid, hostile.node.node_id, 9)
        for one, metadata in zip(
            asked[1:],
            [
                {"created_at": math.nan},
                {"ttl": math.nan},
                {"ttl": math.inf},
                {"message_type": "train.\x1b[31mred"},
                {"message_id": "\x1b[31mred" * 9},
                {"group_id": "\x1b[31mred" * 9},
                {"run_id": grid.run.run_id + 1},
            ],
            strict=False,
        ):
            with pytest.raises(httpx.HTTPStatusError) as refused:
                hostile.answer(one, b"Message  1\x00x", **metadata)
            assert refused.value.response.status_code == 400
        with pytest.raises(httpx.HTTPStatusError):
            client.PullObject(PullObjectRequest(node=hostile.node, run_id=1, object_id="\x1b[31mred"))
        assert hostile.answer(asked[0], b"Message  1\x00x").stored
        assert [reply.metadata.reply_to_message_id for reply in grid.pull_messages(asked)] == [asked[0]]
    assert "red" not in (tmp_path / "up.log").read_text().replace("registered", "")
