"""Who said something since an export read the tables: on the patients' page, by a reply, or to a person here.

An export may take minutes. Whoever stopped messages a moment ago gets none by it, whatever was read before; what they
said counts as said from the next export on, which reads all of it first.
"""

from collections.abc import Mapping, Sequence

from wardround.client.connectors.patient_form import PatientForm
from wardround.client.connectors.withdrawals import Withdrawal, WithdrawalList, in_force
from wardround.client.outreach.by_page.unheard import Unheard
from wardround.client.outreach.decide.patients import tokens_meant
from wardround.protocol.errors import TableError


class SaidLately:
    """The spool of the patients' page, and the hospital's list of withdrawals, as they grow while an export runs."""

    def __init__(
        self,
        withdrawals: WithdrawalList,
        known: Sequence[Withdrawal],
        patients: Mapping[str, str],
        form: PatientForm,
        unheard: Unheard | None,
    ) -> None:
        """known: what the export knows of the list. patients: identifier by token. unheard: None without a page."""
        self._withdrawals, self._known = withdrawals, frozenset(known)
        self._patients, self._form, self._unheard = dict(patients), form, unheard
        # Not (): a list that is gone before the first look must be looked at too.
        self._read: tuple[tuple[int, ...] | None, frozenset[str]] = (None, frozenset())

    def tokens(self) -> frozenset[str]:
        """Give the journal's tokens of these patients. WardroundError where spool or list cannot be read."""
        on_page = frozenset() if self._unheard is None else self._unheard.tokens()
        return on_page | self._withdrawn()

    def _withdrawn(self) -> frozenset[str]:
        """Match lines that are new loosely, as every withdrawal; the list is read where it changed.

        TableError where the list lacks a line that the export knows: what else it held, nobody can tell.
        """
        try:
            there = self._withdrawals.path.stat()
            state: tuple[int, ...] = (there.st_ino, there.st_mtime_ns, there.st_size)
        except FileNotFoundError:
            state = ()
        if state != self._read[0]:
            rows = self._withdrawals.read()
            if not self._known <= frozenset(rows):
                raise TableError(
                    f"withdrawals={self._withdrawals.path}: lost lines while this ran; restore the newest copy"
                )
            new = {row.patient for row in in_force(rows) if row not in self._known}
            meant = tokens_meant(sorted(new), self._patients, self._form) if new else []
            self._read = state, frozenset(meant)
        return self._read[1]
