"""Who is at the agent's door, what each holds there, and who gives way when there is no room."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum


class Stage(IntEnum):
    """How far a caller has come. Who has come less far gives way first."""

    UNKNOWN = 0
    """Not shown yet who signed; or shown that no operator did."""
    SHOWN = 1
    """The first bytes are being looked at."""
    SENDING = 2
    TAKING = 3
    """Its reply is ready and due, and it does not take it."""
    SHARING = 4
    """Waits for an answer for which others wait too: a repeat."""
    WAITING = 5
    """Waits for its own answer; never gives way."""


@dataclass(eq=False)
class Caller:
    """One connection. moved_at: when its last byte came or went, monotonic seconds; held_bytes: kept for it."""

    task: asyncio.Task[None] = field(repr=False)
    number: int
    moved_at: float
    stage: Stage = Stage.UNKNOWN
    held_bytes: int = 0


class Room:
    """The callers at the door. Guarantee: no more than so many, holding no more than so many bytes.

    Where that does not do, the one gives way that has come least far, and among those the one that has been
    still for longest: who trickles, sends nothing or does not take its reply goes before who makes progress.
    Half of the places are for those who have shown that an operator signed, half for the others: each half
    gives way among itself, so that many who trickle what was signed cannot keep newcomers out, nor these them.
    """

    def __init__(self, callers: int, held_bytes: int) -> None:
        """An empty room."""
        self._most_callers, self._most_bytes = callers, held_bytes
        self._callers: dict[int, Caller] = {}
        self._held_bytes = 0

    def __len__(self) -> int:
        """How many callers there are."""
        return len(self._callers)

    @property
    def held_bytes(self) -> int:
        """What all callers hold."""
        return self._held_bytes

    def unknown(self) -> int:
        """How many have not shown that an operator signed what they bring."""
        return sum(caller.stage is Stage.UNKNOWN for caller in self._callers.values())

    def shown(self) -> int:
        """How many are being looked at."""
        return sum(caller.stage is Stage.SHOWN for caller in self._callers.values())

    def enter(self, caller: Caller) -> None:
        """Let a caller in."""
        self._callers[caller.number] = caller
        self._make_room()

    def leave(self, caller: Caller) -> None:
        """Let a caller go, with all that it held; a second time is nothing."""
        if self._callers.pop(caller.number, None) is not None:
            self._held_bytes -= caller.held_bytes

    def comes_to(self, caller: Caller, stage: Stage, now: float) -> None:
        """Say that a caller has come to a stage; others may have to give way for it, or itself."""
        if caller.number in self._callers:
            caller.stage, caller.moved_at = stage, now
            self._make_room()

    def holds(self, caller: Caller, held_bytes: int, now: float) -> None:
        """Say what a caller holds from now on; others may have to give way for it, or itself."""
        if caller.number in self._callers:
            self._held_bytes += held_bytes - caller.held_bytes
            caller.held_bytes, caller.moved_at = held_bytes, now
            self._make_room()

    def _make_room(self) -> None:
        known = self._most_callers // 2
        while sum(_is_known(caller) for caller in self._callers.values()) > known:
            self._send_away(_is_known)
        while len(self._callers) > self._most_callers:
            self._send_away(lambda caller: not _is_known(caller))
        while self._held_bytes > self._most_bytes:
            self._send_away(lambda caller: caller.held_bytes > 0)

    def _send_away(self, matters: Callable[[Caller], bool]) -> None:
        caller = gives_way(filter(matters, self._callers.values()))
        self.leave(caller)
        caller.task.cancel()


def _is_known(caller: Caller) -> bool:
    return caller.stage >= Stage.SENDING


def gives_way(callers: Iterable[Caller]) -> Caller:
    """Choose who goes: least far, then longest still, then first come; of those who wait, the last come.

    Sending and taking count alike: bytes move, or do not.
    """

    def order(caller: Caller) -> tuple[float, ...]:
        far = Stage.SENDING if caller.stage is Stage.TAKING else caller.stage
        still = -caller.number if caller.stage is Stage.WAITING else caller.moved_at
        return far, still, caller.number

    return min(callers, key=order)
