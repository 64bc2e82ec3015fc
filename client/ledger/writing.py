"""How a ledger's entries become durable: one writer at a time, the head outside, nothing after a leap of the clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from wardround.client.ledger.clock import clock_fault, leaps, next_second
from wardround.client.ledger.entries import Entry, make_entry
from wardround.client.ledger.fields import Field, utc_text
from wardround.client.ledger.head_file import Outside
from wardround.client.ledger.reading import LedgerReader
from wardround.client.ledger.store import Store
from wardround.protocol.errors import Refusal
from wardround.protocol.wire.signing import SigningKey

_FREE_OF_CLOCK = ("refused", "clock", "recovered", "assumed")
"""Kinds that no leap of the clock forbids: what does not count, and what a person says about a fault."""


class LedgerWriter(LedgerReader):
    """What every entry goes through, whatever it says.

    Guarantee: an entry is on the disk, signed, when ``_writing`` ends, and so is the head outside the database.
    """

    def __init__(
        self, store: Store, key: SigningKey, code: str, head: Path | None, new: bool = False
    ) -> None:
        """Read the chain; LedgerError where it was altered or forgets. Use ``open_ledger`` or ``create_ledger``.

        head: the file of the head outside; None for a copy that stands in nobody's place.
        """
        super().__init__(store, key, code)
        self._outside = Outside(head)
        # One turn: no other process may write between the look at the head and the one at the database.
        with store.turn():
            self._outside.read()
            self._catch_up()
            if not new:
                # Of an earlier version's ledger nothing stands outside yet.
                self._outside.require_in(self._chain.heads, self._chain.random or not self._chain.heads)
            self._outside.keep(self._chain.sequence, self._chain.head)

    def _append(self, kind: str, now: datetime, fields: dict[str, Field], before: Entry | None = None) -> str:
        return self._entry(kind, now, fields, before).hash

    def _entry(self, kind: str, now: datetime, fields: dict[str, Field], before: Entry | None) -> Entry:
        """Append an entry to the chain, or to the entry that this transaction has just appended to it."""
        chain = self._chain
        if kind not in _FREE_OF_CLOCK and self._leaps(now):
            fault = clock_fault(now, chain.time)
            raise Refusal(
                "clock", f"{fault}; set the clock, or confirm that it is right: ledger clock --reason TEXT"
            )
        # A person's word about the clock is the one entry that may go back in time.
        time = next_second(now, datetime.min.replace(tzinfo=UTC) if kind == "clock" else chain.time)
        sequence, head = (before.sequence, before.hash) if before else (chain.sequence, chain.head)
        entry = make_entry(kind, sequence + 1, time, head, fields, self._key)
        self._store.append(entry)
        return entry

    def _leaps(self, now: datetime) -> bool:
        # A simulated home's time is whatever its settings say; its ledger began on the day that it was made.
        return self._chain.sequence > 0 and not self._chain.simulated and leaps(now, self._chain.time)

    @contextmanager
    def _writing(self, now: datetime, consequence: str = "nothing was spent") -> Iterator[None]:
        forgotten = 0
        with self._store.turn():
            self._outside.read()
            with self._store.writing(consequence):
                self._catch_up()
                self._outside.require_in(self._chain.heads, must_exist=False)
                # A clock that is years ahead must not delete what running studies may ask for again.
                if not self._leaps(now):
                    forgotten = self._store.forget(utc_text(next_second(now, self._chain.time)))
                yield
            self._catch_up()
            self._outside.keep(self._chain.sequence, self._chain.head)
        # Until the log is folded in, deleted bytes still stand there.
        if forgotten:
            self._store.flush()
