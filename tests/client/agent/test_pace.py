"""The token bucket: how much is begun within a time, and who is served first; by a clock of its own."""

import asyncio

from wardround.client.agent.pace import Pace


def test_no_more_is_begun_than_burst_and_rate_allow_and_the_smallest_goes_first() -> None:
    served: list[str] = []
    now = 0.0

    async def scene() -> None:
        nonlocal now
        pace = Pace(rate=10.0, burst=20.0, clock=lambda: now)

        async def take(name: str, amount: float, rank: float) -> None:
            await pace.take(amount, (rank,))
            served.append(name)

        tasks = [asyncio.ensure_future(take(f"large {n}", 10.0, 10.0)) for n in range(4)]
        tasks.append(asyncio.ensure_future(take("gone", 1.0, 0.0)))
        tasks.append(asyncio.ensure_future(take("small", 1.0, 1.0)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert served == ["large 0", "large 1"]  # the bucket held 20
        tasks[4].cancel()
        for moment, expected in ((0.05, 3), (0.09, 3), (0.2, 4), (1.05, 4), (1.2, 5)):
            now = moment
            pace._serve()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(served) == expected, (moment, served)
        assert served[2] == "small"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scene())


def test_who_waits_is_served_at_the_share_of_the_rate_that_was_set() -> None:
    now = 0.0

    async def served_at(share: float) -> float:
        """When, by hundredths of a second, a piece of 1 comes behind one of 10 at a rate of 10."""
        nonlocal now
        now = 0.0
        pace = Pace(rate=10.0, burst=1.0, clock=lambda: now)
        await pace.take(10.0)  # begun at once, and to be paid back
        waits = asyncio.ensure_future(pace.take(1.0))
        await asyncio.sleep(0)
        pace.slow_to(share)
        while not waits.done() and now < 20.0:
            now += 0.01
            pace._serve()
            await asyncio.sleep(0)
        return now

    assert 0.9 <= asyncio.run(served_at(1.0)) <= 0.95
    assert 7.2 <= asyncio.run(served_at(0.125)) <= 7.25
