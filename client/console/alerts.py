"""Which alerts stand, since when, and who was told of them: for the privacy officer and IT.

The desk looks at the home and the tables itself. The server it never calls, so what is so there it takes from the
watch's own file, which also says since when each alert stands.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from wardround.client.alerts.server import is_of_server
from wardround.client.alerts.standing import local, of_tables
from wardround.client.commands.alerts import export_ages
from wardround.client.home.home import load_home
from wardround.protocol.alerts.alert import Alert
from wardround.protocol.alerts.running import STATE
from wardround.protocol.alerts.told import Seen, ToldFile
from wardround.protocol.errors import ConfigurationError

_HERE = "the watch saw it; wardround-hospital alerts list says more"


def alerts(folder: Path, now: datetime) -> dict[str, Any]:
    """List them, the longest standing first; nothing is written, and nobody is told. now: in UTC."""
    home = load_home(folder)
    seen, fault = _seen(folder, now)
    found = {one.key: one for one in (*local(home, now), *of_tables(home, lambda: export_ages(home), now))}
    rows = [*(_row(one, seen.get(key)) for key, one in found.items()), *_at_server(seen, found)]
    rows.sort(key=lambda row: (row["since"] is None, row["since"] or ""))
    return {"alerts": rows, "watched": (folder / STATE).exists(), "fault": fault}


def _seen(folder: Path, now: datetime) -> tuple[Mapping[str, Seen], str]:
    """Read what the watch last saw; nothing, and why, where its file cannot be read."""
    try:
        return ToldFile(folder / STATE).read(now).standing, ""
    except ConfigurationError as error:
        return {}, str(error)


def _row(alert: Alert, seen: Seen | None) -> dict[str, Any]:
    return {"event": alert.event, "text": alert.text, "remedy": alert.remedy, **_since(seen)}


def _at_server(seen: Mapping[str, Seen], found: Mapping[str, Alert]) -> Iterator[dict[str, Any]]:
    """Give what the watch alone can see, as long as it stood when the watch last looked."""
    for key, one in seen.items():
        if key not in found and one.gone is None and is_of_server(key):
            event, _, subject = key.partition(" ")
            yield {"event": event, "text": subject, "remedy": _HERE, **_since(one)}


def _since(seen: Seen | None) -> dict[str, Any]:
    if seen is None:
        return {"since": None, "told": []}
    return {"since": seen.since.isoformat(), "told": sorted(seen.told)}
