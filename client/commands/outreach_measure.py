"""``outreach measure``: what the arms of a signed protocol show so far."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, timedelta

from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.outreach_protocol import signed_protocols
from wardround.client.commands.terminal import say, table
from wardround.client.outreach.journal.journal import open_journal
from wardround.client.outreach.measure.difference import LEAST_PATIENTS
from wardround.client.outreach.measure.measured import NO_SIGN, Comparison
from wardround.client.outreach.measure.protocol_file import SignedProtocol
from wardround.client.outreach.measure.sample_ratio import ALARM
from wardround.client.outreach.measure.story import ENTRIES, Measurement, measure
from wardround.client.outreach.triggers.settings_file import settings_of
from wardround.protocol.text.numerals import small_number
from wardround.protocol.text.say import say_json


def measure_arms(options: Namespace) -> None:
    """Measure, and say what was found; nothing is written and nothing leaves."""
    with open_home(options.home) as opened:
        found, gone_before = measured(opened, signed_protocols(opened).find(options.name))
    if options.json:
        say_json(_plain(found) | {"gone_before": gone_before}, default=str)
        return
    _show(found)
    if gone_before is not None:
        say(
            f"FAULT: outreach.yaml keeps the journal for fewer days than the protocol needs: who was counted in before "
            f"{gone_before} is gone, and the figures above are of those who came later"
        )


def measured(opened: OpenHome, signed: SignedProtocol) -> tuple[Measurement, date | None]:
    """Measure a signed protocol, and give the day before which the journal keeps nobody more (None: it keeps all)."""
    with open_journal(opened.home.folder) as journal:
        entries = journal.frame(ENTRIES)
    source, key = opened.home.source.snapshot(), opened.home.patients_key
    return measure(signed, entries, source, key, opened.now), _gone_before(opened, signed)


def _gone_before(opened: OpenHome, signed: SignedProtocol) -> date | None:
    """Give the day before which the journal keeps nobody more, where the protocol began earlier."""
    keep_days = settings_of(opened.home.folder).keep_days
    oldest = opened.home.date(opened.now) - timedelta(days=keep_days)
    return oldest if oldest > signed.protocol.starts else None


def _show(found: Measurement) -> None:
    protocol = found.protocol.protocol
    say(
        f"{protocol.name}: {protocol.question}",
        f"Signed by {found.protocol.person} on {found.protocol.at:%-d %B %Y}.",
    )
    rows = [(arm, f"{protocol.arms[arm]:.1%}", str(count)) for arm, count in found.counted.items()]
    table("Patients counted in", ("arm", "share drawn", "patients"), rows, fixed=("arm",))
    if found.ratio < ALARM:
        say(
            f"FAULT: the arms are not as large as they were drawn (p = {found.ratio:.2g}); no difference below means "
            "anything until you know why"
        )
    say(f"{found.ended:,} of them have all their outcomes; the protocol asks for {protocol.patients:,}.")
    if found.without_ratio < ALARM:
        say(
            f"FAULT: patients without an outcome ({_listed(found.without)}) are not shared out as the arms are "
            f"(p = {found.without_ratio:.2g}): the differences below are between others than were drawn; the next "
            "protocol may count them (without: no)"
        )
    if found.look is None:
        say(f"The first look is planned for {protocol.dates[0]}.")
    _show_comparisons("Outcomes", found.comparisons)
    _show_comparisons("By group", found.groups)
    if found.explored is not None:
        _show_comparisons("Among equal modules, drawn by chance; no carry-over", (found.explored,))
    _show_guardrails(found)
    for arm, one in found.decided.items():
        say(
            f"People held or refused {one.means[0]:.1%} of what was proposed in the arm {arm}, and {one.means[1]:.1%} "
            "in the standard arm."
        )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{arm} {count}" for arm, count in counts.items())


def _show_comparisons(title: str, comparisons: tuple[Comparison, ...]) -> None:
    if not comparisons:
        return
    rows = [
        (
            f"{one.first} − {one.second}{one.group and f', {one.group}'}",
            f"{one.found.difference:+.3f}",
            f"too few (at least {LEAST_PATIENTS} in each)"
            if one.low is None or one.high is None
            else f"{one.low:+.3f} to {one.high:+.3f}",
            "" if one.p_value is None else small_number(one.p_value, 2),
            " / ".join(map(str, one.found.patients)),
        )
        for one in comparisons
    ]
    table(title, ("compared", "difference", "interval", "p", "patients"), rows, fixed=("compared",))


def _show_guardrails(found: Measurement) -> None:
    rows = [
        (one.name, one.arm, str(one.patients), str(one.under_standard), f"{one.more:+.2%}", one.state)
        for one in found.guardrails
    ]
    if rows:
        columns = ("guardrail", "arm", "patients", "standard", "more", "state")
        table("Guardrails", columns, rows, fixed=("guardrail", "arm"))
    for one in found.guardrails:
        if one.state != NO_SIGN:
            say(
                f"{one.name}: more patients in the arm {one.arm}; a person must look, and may end the protocol"
            )


def _plain(found: Measurement) -> dict[str, object]:
    plain = asdict(found)
    return plain | {"protocol": found.protocol.protocol.name, "signed_by": found.protocol.person}
