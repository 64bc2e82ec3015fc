"""Every error that a person can cause and fix.

    WardroundError
    ├── ConfigurationError   a setting: unknown key, wrong type, out of range
    ├── ContractError        the feature contract contradicts itself or the model file
    ├── TableError           a hospital's table: missing file, column, wrong type
    │   └── TableAway        what holds it does not answer now; asked again later it may
    ├── LedgerError          a ledger is missing, or was altered, shortened or put back
    ├── Refusal              a hospital says no; ``clause`` is all that may leave it
    ├── MessageError         bytes that arrived are not a plan or a release
    └── ReleaseRejected      the server says no to a release; ``reason`` is a fixed word

The text is one line: the value, the bound, the remedy; never a patient's data. Commands print it and
exit with code 2.
"""

from wardround.protocol.characters import escape

LONGEST_ERROR = 1000  # characters of an error's line


class WardroundError(Exception):
    """Base of all expected errors; ``str(error)`` is one visible line for the person on the spot.

    >>> import wardround
    >>> try:
    ...     wardround.simulate("experiment=tiny", rounds=0)
    ... except wardround.WardroundError as error:
    ...     print(error)
    training.rounds=0: must be from 1 to 100000
    """

    def __str__(self) -> str:
        """Write the line, escaped: it may quote what others wrote, which must not control a terminal."""
        # Cut before escaping: what others wrote, and an error quotes, may be megabytes.
        line = escape(super().__str__()[: LONGEST_ERROR + 1])
        return line if len(line) <= LONGEST_ERROR else line[: LONGEST_ERROR - 3] + "..."


class ConfigurationError(WardroundError):
    """A setting is unknown, of the wrong type, or out of range."""


class ContractError(WardroundError):
    """A feature contract is inconsistent, or does not fit the model file at hand."""


class TableError(WardroundError):
    """A table cannot be read as the contract asks; counts rows, shows no values."""


class TableAway(TableError):
    """A database, or a volume, does not answer now: like a network fault, it tells nothing of what tables hold."""


class LedgerError(WardroundError):
    """A ledger, or an export of one, is missing or is not what its hospital wrote."""


class MessageError(WardroundError):
    """Bytes are not a plan or a release; names the part and its bound, repeats nothing that was sent."""


class Refusal(WardroundError):
    """A hospital refuses a plan. Only ``clause`` leaves the hospital, never the text."""

    def __init__(self, clause: str, detail: str) -> None:
        """Keep the clause's name apart from the detail that stays on the spot."""
        super().__init__(f"{clause}: {detail}")
        self.clause = clause
        self.detail = detail


class ReleaseRejected(WardroundError):
    """The server screens out one release; the round goes on without it."""

    def __init__(self, hospital: str, reason: str) -> None:
        """Name the hospital and a reason from a fixed list."""
        super().__init__(f"release of {hospital} rejected: {reason}")
        self.hospital = hospital
        self.reason = reason


def require(holds: bool, key: str, value: object, allowed: str) -> None:
    """Raise ConfigurationError ``key=value: allowed …`` unless ``holds``."""
    if not holds:
        raise ConfigurationError(f"{key}={value}: {allowed}")
