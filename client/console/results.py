"""What a signed trial protocol shows so far, for communications and the privacy officer: intervals, and no small count.

A count below ``FEWEST_SHOWN`` is not shown, and any other is rounded down to tens: so neither the difference of two
counts nor that of two days tells how many patients a small group has.
"""

from collections.abc import Sequence
from typing import Any

from wardround.client.commands.open_home import OpenHome
from wardround.client.commands.outreach_measure import measured
from wardround.client.commands.outreach_protocol import signed_protocols
from wardround.client.console.counts import rounded
from wardround.client.outreach.journal.journal import JOURNAL_FILE
from wardround.client.outreach.measure.measured import Comparison, GuardrailSeen
from wardround.client.outreach.measure.protocol_file import SignedProtocol
from wardround.client.outreach.measure.sample_ratio import ALARM
from wardround.client.outreach.measure.story import Measurement


def results(opened: OpenHome, name: str) -> dict[str, Any]:
    """Measure one protocol, the newest without a name; ConfigurationError where nobody signed one of this name."""
    protocols = signed_protocols(opened)
    signed = protocols.read()
    if not signed and not name:
        return {"protocols": [], "protocol": None, "found": None}
    chosen = protocols.find(name or None)
    # Opening a journal begins one.
    journal = (opened.home.folder / JOURNAL_FILE).exists()
    return {
        "protocols": [one.protocol.name for one in signed],
        "protocol": _protocol(chosen),
        "found": _found(opened, chosen) if journal else None,
    }


def _protocol(signed: SignedProtocol) -> dict[str, Any]:
    protocol = signed.protocol
    return {
        "name": protocol.name,
        "question": protocol.question,
        "person": signed.person,
        "signed": str(signed.at.date()),
        "starts": str(protocol.starts),
        "ends": str(signed.ended or protocol.ends),
        "patients": protocol.patients,
        "first_look": str(protocol.dates[0]) if protocol.dates else None,
    }


def _found(opened: OpenHome, signed: SignedProtocol) -> dict[str, Any]:
    found, gone_before = measured(opened, signed)
    return {
        "look": None if found.look is None else str(found.look),
        "ended": rounded(found.ended),
        "gone_before": None if gone_before is None else str(gone_before),
        "unequal": _alarm(found.ratio),
        "unequal_without": _alarm(found.without_ratio),
        "outcomes": _comparisons(found.comparisons),
        "groups": _comparisons(found.groups),
        "explored": _comparisons(() if found.explored is None else (found.explored,)),
        "guardrails": [_guardrail(one) for one in found.guardrails],
        "decided": _decided(found),
    }


def _alarm(p_value: float) -> float | None:
    return p_value if p_value < ALARM else None


def _comparisons(found: Sequence[Comparison]) -> list[dict[str, Any]]:
    return [_comparison(one) for one in found]


def _comparison(one: Comparison) -> dict[str, Any]:
    """Give a comparison; without its interval no difference either, which is then of few patients."""
    enough = one.low is not None and one.high is not None
    return {
        "first": one.first,
        "second": one.second,
        "group": one.group,
        "difference": one.found.difference if enough else None,
        "low": one.low,
        "high": one.high,
        "p_value": one.p_value if enough else None,
        "patients": [rounded(count) for count in one.found.patients],
    }


def _guardrail(one: GuardrailSeen) -> dict[str, Any]:
    patients = [rounded(count) for count in (one.patients, one.under_standard)]
    return {
        "name": one.name,
        "arm": one.arm,
        "patients": patients,
        # With the number of all patients it would tell a small count.
        "more": None if None in patients else one.more,
        "state": one.state,
    }


def _decided(found: Measurement) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "share": one.means[0], "standard": one.means[1]}
        for arm, one in found.decided.items()
        if one.enough
    ]
