"""Memory is given back once after any number of lost lines."""

import asyncio
import gc
import weakref

import pytest

from wardround.server.network import give_back as module
from wardround.server.network.give_back import AT_ONCE_BYTES, Bodies, give_back_soon


class Cycle:
    """What only a collection frees."""

    def __init__(self):
        self.me = self


@pytest.mark.slow
def test_cycles_go_soon_after_a_line_was_lost_and_one_collection_stands_for_many(monkeypatch):
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    runs = []
    give_back = module.give_back
    monkeypatch.setattr(module, "give_back", lambda: runs.append(give_back()))

    async def storm():
        cycle = Cycle()
        there = weakref.ref(cycle)
        gc.collect()  # what a garbage collection by itself could take is gone: only ours is left
        gc.disable()
        try:
            del cycle
            for _ in range(5):
                give_back_soon(asyncio.get_running_loop())
            assert there() is not None
            await asyncio.sleep(0.05)
            assert there() is None
        finally:
            gc.enable()
        give_back_soon(asyncio.get_running_loop())  # and again, after the next one
        await asyncio.sleep(0.05)

    asyncio.run(storm())
    assert len(runs) == 2


def test_small_bodies_share_a_collection_and_what_adds_up_to_a_large_one_has_it_at_once(monkeypatch):
    runs, soon = [], []
    monkeypatch.setattr(module, "give_back", lambda: runs.append(1))
    monkeypatch.setattr(module, "give_back_soon", soon.append)
    bodies, loop = Bodies(), object()
    for _ in range(7):
        bodies.over(AT_ONCE_BYTES // 8, loop)
    assert (runs, soon) == ([], [loop] * 7)
    bodies.over(AT_ONCE_BYTES // 8, loop)
    assert runs == [1]
    bodies.over(1, loop)
    assert (runs, len(soon)) == ([1], 8)
    bodies.over(10 * AT_ONCE_BYTES, loop)
    assert runs == [1, 1]
