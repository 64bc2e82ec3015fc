"""``outreach inbound``: replies, bounces, complaints and refusals become withdrawals at once."""

from argparse import Namespace
from pathlib import Path

from wardround.client.commands.outreach_opened import OpenOutreach, open_outreach
from wardround.client.commands.outreach_page import forget_withdrawn, inbound_page
from wardround.client.commands.signing import person, signer
from wardround.client.commands.terminal import say
from wardround.client.connectors.withdrawals import AGAIN, CONSENTS, Withdrawal
from wardround.client.outreach.decide.acts import leaf
from wardround.client.outreach.decide.inbound import Heard, hear
from wardround.client.outreach.decide.inbound_file import LARGEST_INBOUND, InboundRow, read_inbound
from wardround.client.outreach.decide.patients import addressees, tokens_meant
from wardround.client.outreach.decide.rules import check_reason
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded
from wardround.protocol.text.say import say_json
from wardround.protocol.text.section import shown
from wardround.protocol.text.text import is_line


def inbound(options: Namespace) -> None:
    """Read a file, or what a person took down; nothing of the text is kept."""
    if bool(options.file) + bool(options.patient) + options.page != 1:
        raise ConfigurationError(
            "inbound: give FILE, --page for the patients' page, or --patient for one that you took down yourself"
        )
    if options.page:
        inbound_page(options)
        return
    with open_outreach(options) as outreach:
        if options.file:
            _from_file(outreach, options)
        else:
            _taken_down(outreach, options)


def _from_file(outreach: OpenOutreach, options: Namespace) -> None:
    path: Path = options.file
    try:
        content = read_bounded(path, LARGEST_INBOUND)
    except OSError as error:
        raise ConfigurationError(f"file={path}: cannot be read ({error.strerror})") from error
    rows, faults = read_inbound(content, path.name, outreach.opened.now)
    heard, new = _heard(outreach, rows)
    facts = {
        "rows": dict(heard.counts),
        "withdrawals": new,
        "lines_for_a_person": list(heard.unclear),
        "lines_of_nobody": list(heard.nobody),
        "lines_not_understood": list(faults),
    }
    if options.json:
        say_json(facts)
    else:
        _show(heard, new, faults)
    if faults or heard.nobody:
        count = len(faults) + len(heard.nobody)
        raise ConfigurationError(
            f"inbound: {count} lines of {path.name} were not understood, or name nobody here; all others were heard, "
            "and an identifier counts also if its patient comes later: look at these lines"
        )


def _heard(outreach: OpenOutreach, rows: tuple[InboundRow, ...]) -> tuple[Heard, int]:
    """Withdraw first, durably; then forget what the journal holds of those who want no contact any more."""
    home = outreach.opened.home
    patients = outreach.patients()
    messages = {leaf(one): one for one in outreach.journal.proposals()}
    heard = hear(rows, addressees(home.source, messages, patients, {row.patient for row in rows} - {""}))
    new = home.withdrawals.add(heard.withdrawals, heard.latest)
    forget_withdrawn(outreach, heard.withdrawals, patients)
    return heard, new


def _taken_down(outreach: OpenOutreach, options: Namespace) -> None:
    """Keep what a person at the telephone or the desk heard, with their name."""
    check_reason(options.reason or "")
    if not is_line(options.patient) or options.consent not in CONSENTS:
        raise ConfigurationError(f"patient={shown(options.patient)}: must be one line, as in your tables")
    row = Withdrawal(
        patient=options.patient,
        consent=options.consent,
        why=AGAIN if options.again else "refusal",
        at=outreach.opened.now,
        person=signer(options) if options.again else person(options.person),
        reason=options.reason,
    )
    home, patients = outreach.opened.home, outreach.patients()
    home.withdrawals.add([row])
    meant = tokens_meant([row.patient], patients, home.source.place("messages").patient.form)
    if not options.again and row.is_all_contact:
        outreach.journal.forget(meant)
    if options.json:
        say_json({"patients": len(meant), "consent": row.consent, "again": options.again})
        return
    if options.again:
        say("Lifted: the hospital's own tables count again, for this identifier as it is spelt here.")
        return
    say(f"Kept. It counts from now on, for {len(meant)} patients of your addresses whom it could mean.")
    if not meant:
        say("No address names this patient. It counts all the same if they come.")


def _show(heard: Heard, new: int, faults: tuple[int, ...]) -> None:
    rows = ", ".join(f"{count:,} {kind}" for kind, count in sorted(heard.counts.items())) or "no rows"
    say(f"{rows}. New withdrawals: {new:,}; they count from now on.")
    for what, lines in (
        ("A person must read these replies, lines", heard.unclear),
        ("These name nobody in your addresses, lines", heard.nobody),
        ("These were not understood, lines", faults),
    ):
        if lines:
            say(f"{what}: {', '.join(map(str, lines[:50]))}{' …' if len(lines) > 50 else ''}")
