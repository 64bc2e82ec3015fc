"""The token bucket: how much is begun within a time, and who is served first; by a clock of its own."""

import asyncio

from client.pace import Pace


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
