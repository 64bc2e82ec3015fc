"""``outreach about``: what a patient may ask (GDPR 15)."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict

import polars as pl

from wardround.client.commands.outreach_opened import open_outreach
from wardround.client.commands.signing import signer
from wardround.client.commands.terminal import say, table
from wardround.client.connectors.withdrawals import PAGE, PAGE_STOP
from wardround.client.gate.consent_match import whom_texts_mean
from wardround.client.outreach.decide.about import AboutPatient, about_patient
from wardround.client.outreach.decide.patients import canonical_identifier
from wardround.client.outreach.decide.rules import role_of
from wardround.client.outreach.journal.tokens import token_of
from wardround.client.policy.people import CLINICIAN
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say_json
from wardround.protocol.text.text import is_digest

WAYS = {PAGE_STOP: "on the patients' page", PAGE: "on the patients' page"}
"""What is said of a withdrawal's reason where its word is not said as it is."""


def about(options: Namespace) -> None:
    """Show what is kept of one patient; a clinician asks for them."""
    with open_outreach(options) as outreach:
        if role_of(signer(options), outreach.people) != CLINICIAN:
            raise ConfigurationError("about: shows one patient; a clinician asks for them")
        home = outreach.opened.home
        form = home.source.place("messages").patient.form
        patient = canonical_identifier(options.patient, form)
        people = pl.DataFrame({"patient": [patient]}).with_row_index("index")
        said = [
            one for one in home.withdrawals.standing() if len(whom_texts_mean([one.patient], people, form))
        ]
        found = about_patient(outreach.journal, token_of(patient, home.patients_key), said)
    if options.json:
        say_json(asdict(found))
        return
    _show(found)


def _show(found: AboutPatient) -> None:
    for one in found.messages:
        when = f"sent {one['sent_at'][:16]} UTC" if one["sent_at"] else one["state"]
        grounds = "; ".join(f"{key}: {_short(value)}" for key, value in one["stands_on"].items())
        chosen = _short(one["chosen_by_model"]) or "nobody's"
        rows = [
            ("because of", one["because_of"]),
            *(("why", text) for text in one["reasons"]),
            ("otherwise", one["standard_message"]),
            ("model", chosen),
            ("stands on", grounds),
            *(
                ("decided", f"{d['act']} by {d['person']} on {d['at'][:10]}: {d['reason']}")
                for d in one["decisions"]
            ),
        ]
        table(f"{one['message']} by {one['channel']}, {when}", ("", ""), rows)
    held = [(h["made_at"][:10], h["trigger"], h["rule"], h["why"]) for h in found.held]
    table("Held back", ("on", "trigger", "rule", "why"), held)
    say(*map(_said, found.withdrawals))
    if not found.messages:
        say("No message is kept: none was proposed, it is older than keep_days, or the patient opted out.")


def _said(one: Mapping[str, str]) -> str:
    """Say one withdrawal: what of it, how long, when, and by which way."""
    parts = [one["consent"], one["channel"], one["topic"], f"until {one['until']}" if one["until"] else ""]
    what = " ".join(part for part in parts if part)
    return f"Withdrew {what} on {one['at'][:10]} ({WAYS.get(one['why'], one['why'])})"


def _short(value: object) -> str:
    """Shorten a digest, which people compare by its beginning; JSON has it whole."""
    return f"{value[:8]}…" if isinstance(value, str) and is_digest(value) else str(value)
