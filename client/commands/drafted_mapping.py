"""``init --from``: where the tables are, proposed from names and types; what a person must look at, and must write."""

from argparse import Namespace
from pathlib import Path

from wardround.client.commands.terminal import say
from wardround.client.connectors.odbc_access import odbc_access
from wardround.client.home.draft_mapping import (
    draft_from_fhir,
    draft_from_files,
    draft_from_odbc,
    draft_from_postgres,
)
from wardround.client.home.home import SETTINGS
from wardround.client.home.mapping_draft import MappingDraft
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.nearest import did_you_mean
from wardround.protocol.text.section import Section, shown

_KINDS = ("csv", "postgresql", "odbc", "fhir")
_OF_ODBC = ("dialect", "user", "password_file")


def drafted(options: Namespace, home: Path, contract: Contract | None) -> MappingDraft | None:
    """Look at the names and types of the source that was named; None where none was. Nothing is written."""
    kind, place = options.source or (None, "")
    for name in _OF_ODBC:
        if getattr(options, name) is not None and kind != "odbc":
            raise ConfigurationError(f"--{name.replace('_', '-')}: only for --from odbc CONNECTION")
    if kind is None:
        return None
    if kind not in _KINDS:
        raise ConfigurationError(
            f"--from {shown(kind)}: {did_you_mean(kind, _KINDS)}must be one of {', '.join(_KINDS)}, then the place"
        )
    if kind == "postgresql":
        return draft_from_postgres(place, home, contract)
    if kind == "odbc":
        plain = _odbc(options, place)
        access = odbc_access(Section({"odbc": plain}, "--from"), home)
        return draft_from_odbc(access, plain, home, contract)
    propose = draft_from_files if kind == "csv" else draft_from_fhir
    return propose(Path(place), home, contract)


def _odbc(options: Namespace, connection: str) -> dict[str, str]:
    file = options.password_file
    given = {
        "connection": connection,
        "dialect": options.dialect,
        "user": options.user,
        "password_file": None if file is None else str(file.absolute()),
    }
    return {key: value for key, value in given.items() if value is not None}


def say_draft(draft: MappingDraft) -> None:
    """Write what was told and what was not."""
    say("", f"Proposed in {SETTINGS} from names and types alone; no row was looked at. Check each line:")
    say(*(f"  {line}" for line in draft.told))
    if draft.untold:
        say(
            "",
            "Not told, and for you to write (TODO in the file):",
            *(f"  {line}" for line in draft.untold),
        )


def refuse_untold(draft: MappingDraft) -> None:
    """Raise ConfigurationError, once all is written and printed, where something is left to write by hand."""
    if draft.untold:
        raise ConfigurationError(
            "init: the home is made; write by hand what no name could tell "
            f"({len(draft.untold)} lines of {SETTINGS} begin with TODO), then run doctor"
        )
