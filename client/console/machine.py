"""What IT looks at: every finding of ``doctor``, and what is installed."""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wardround.client.agent.door_state import is_listening
from wardround.client.checks.finding import FAULT, WARN
from wardround.client.checks.releases import other_releases
from wardround.client.commands.doctor import all_findings
from wardround.client.commands.open_home import OpenHome
from wardround.protocol.wire.speaker import this_speaker

_ORDER = {FAULT: 0, WARN: 1}


def doctor(folder: Path) -> dict[str, Any]:
    """Look at everything, what keeps a study from running first; no word of a table is shown."""
    findings = list(all_findings(Namespace(home=folder, terms=None, show_values=False)))
    findings.sort(key=lambda finding: _ORDER.get(finding.state, 2))
    return {
        "findings": [asdict(finding) for finding in findings],
        "faults": sum(finding.state == FAULT for finding in findings),
        "warnings": sum(finding.state == WARN for finding in findings),
    }


def machine(opened: OpenHome) -> dict[str, Any]:
    """Say what is installed, whether it answers, and how operators' servers compare."""
    others = other_releases(opened.home, opened.policy, opened.ledger)
    return {
        "hospital": opened.home.hospital,
        "release": str(this_speaker()),
        "agent": is_listening(opened.home.socket),
        "timezone": opened.home.timezone,
        "simulated": opened.home.simulation is not None,
        "others": [{"line": line, "understood": understood} for line, understood in others],
    }
