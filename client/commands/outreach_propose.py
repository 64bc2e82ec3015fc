"""``outreach propose``: who is due a message now, and with what; nothing is sent."""

import hashlib
import logging
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from wardround.client.commands.model import model_at_hand, model_contract
from wardround.client.commands.open_home import OpenHome
from wardround.client.commands.outreach_opened import open_outreach
from wardround.client.commands.outreach_page import hear_page_first
from wardround.client.commands.outreach_protocol import signed_protocols
from wardround.client.commands.score import reviewed_or_accepted
from wardround.client.commands.terminal import say, table
from wardround.client.connectors.source import read_tables
from wardround.client.home.home import utc_datetime
from wardround.client.outreach.content.folder import read_folder
from wardround.client.outreach.content.standing_today import standings_today
from wardround.client.outreach.proposals.by_group import Groups, shown_groups
from wardround.client.outreach.proposals.in_arms import Arms
from wardround.client.outreach.proposals.library import Library
from wardround.client.outreach.proposals.model_choice import ModelChoice
from wardround.client.outreach.proposals.own_part import own_part
from wardround.client.outreach.propose import Grounds, Proposing, propose
from wardround.client.outreach.recalls import ModelRecalled, recalled_models
from wardround.client.outreach.score import refuse_simulated
from wardround.client.outreach.signed_model import check_marks, signed_beside
from wardround.client.outreach.triggers.declared import declared_faults
from wardround.client.outreach.triggers.settings import OUTREACH
from wardround.client.outreach.triggers.settings_file import settings_of
from wardround.client.policy.people_file import people_of
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model_file import StoredModel, read_model
from wardround.protocol.model.weight_error_file import WEIGHT_ERROR, read_weight_error
from wardround.protocol.text.log import report
from wardround.protocol.text.say import say_json


def run_propose(options: Namespace) -> None:
    """Propose, and show counts; what was proposed lies in the journal.

    Where a timer runs this and the model's recall was recorded, who is due gets the standard message.
    """
    with open_outreach(options) as outreach:
        opened = outreach.opened
        hear_page_first(outreach)
        grounds = grounds_of(opened, proposed_at(opened, options.as_of))
        model, refused = _model(opened, options)
        choose = model_choice(model, grounds)
        personal = personal_choice(choose, options.personal and not refused)
        done = propose(outreach.journal, grounds, choose, personal)
    if refused:
        report(f"Standard messages alone, without a model: {refused}", logging.WARNING)
    show_proposing(done, options.json, groups_of(choose, personal))
    if personal is not None and not options.json:
        say("With this hospital's own part, which stays here." if personal.own is not None
            else "Without an own part: no training patient of this hospital passes the gate.")  # fmt: skip


@dataclass(frozen=True, eq=False)
class UsableModel:
    """A model that this hospital may choose messages by. error_factor: as ``read_weight_error`` gives it."""

    contract: Contract
    stored: StoredModel
    error_factor: Floats
    digest: str


def _model(opened: OpenHome, options: Namespace) -> tuple[UsableModel | None, str]:
    """Give the model; none, and why, where a timer runs this and it was recalled."""
    try:
        return usable_model(opened, options), ""
    except ModelRecalled as error:
        if options.by_timer is None:
            raise
        return None, str(error)


def usable_model(opened: OpenHome, options: Namespace) -> UsableModel | None:
    """Read the model that is named, if one is; ConfigurationError unless it is signed, releasable and not recalled."""
    if options.model is None:
        return None
    at_hand = model_at_hand(opened, options.model, options.signature, options.accept_unsigned)
    contract = model_contract(opened, at_hand, options.terms, options.contract)
    stored = read_model(at_hand.content, contract, options.model)
    check_marks(at_hand, stored)
    refuse_simulated(stored, opened.home.simulation is None)
    reviewed_or_accepted(opened, at_hand, stored, options)
    error = signed_beside(at_hand, WEIGHT_ERROR)
    if error is None:
        raise ConfigurationError(
            f"model={options.model}: its study says nothing of its weights' error ({WEIGHT_ERROR} beside it, signed); "
            "leave MODEL out: then the standard messages are proposed"
        )
    return UsableModel(contract, stored, read_weight_error(error, contract, WEIGHT_ERROR), at_hand.digest)


def model_choice(model: UsableModel | None, grounds: Grounds) -> ModelChoice | None:
    """Prepare what a model chooses on these grounds; None without a model."""
    if model is None:
        return None
    return ModelChoice(
        contract=model.contract,
        stored=model.stored,
        error_factor=model.error_factor,
        digest=model.digest,
        tables=read_tables(grounds.source, model.contract),
        key=grounds.key,
        now=grounds.now,
        library=grounds.library,
        settings=grounds.settings,
    )


def personal_choice(choose: ModelChoice | None, wanted: bool) -> ModelChoice | None:
    """Prepare the same choice with the hospital's own part, fitted now; None where nobody asked for it."""
    if not wanted:
        return None
    if choose is None:
        raise ConfigurationError("--personal: needs MODEL, on which this hospital's own part stands")
    own = own_part(choose.tables, choose.contract, choose.stored, choose.error_factor, choose.key, choose.now)
    return replace(choose, own=own, groups={})


def groups_of(*choices: ModelChoice | None) -> dict[str, Groups]:
    """Give who got another message, by trigger; where two chose, each under its own name."""
    found = {}
    for one in choices:
        for name, groups in ({} if one is None else one.groups).items():
            found[f"{name}, with the own part" if one is not None and one.own else name] = groups
    return found


def proposed_at(opened: OpenHome, as_of: str | None) -> datetime:
    """Give the time that counts: the machine's, or in a simulated home the one that is named."""
    if as_of is None:
        return opened.now
    if opened.home.simulation is None:
        raise ConfigurationError("--as-of: only for a simulated home; a real one's clock is the machine's")
    try:
        return utc_datetime(as_of)
    except ValueError as error:
        raise ConfigurationError("--as-of: must be a date and time, as in 2026-01-01T09:00") from error


def grounds_of(opened: OpenHome, now: datetime) -> Grounds:
    """Read what one run stands on: settings, modules and their approvals, and what was withdrawn."""
    home = opened.home
    content, today = read_folder(home.content_folder), home.date(now)
    people = people_of(home.folder, home.timezone)
    library = Library(
        modules=content.modules,
        standings=standings_today(home, content, people, now),
        guidelines=content.guidelines,
        guidelines_digest=content.guidelines_digest,
        today=today,
    )
    settings = settings_of(home.folder)
    if faults := declared_faults(settings, content.modules, home.source):
        raise ConfigurationError("; ".join(faults))
    own = hashlib.sha256((home.folder / OUTREACH).read_bytes()).hexdigest()
    return Grounds(
        source=home.source,
        settings=settings,
        library=library,
        withdrawals=home.withdrawals.standing(),
        key=home.patients_key,
        now=now,
        arms=_arms(opened, today),
        recalled=recalled_models(home.recalls),
        digests={"settings": own, "guidelines": content.guidelines_digest},
    )


def _arms(opened: OpenHome, today: date) -> Arms | None:
    """Give the protocol that holds patients in arms today; None where none does."""
    running = signed_protocols(opened).running(today)
    return None if running is None else Arms(protocol=running.protocol, key=opened.home.patients_key)


def show_proposing(done: Proposing, as_json: bool, groups: Mapping[str, Groups]) -> None:
    """Print counts of one run. groups: by trigger, who gets another message than the standard one."""
    by_group = {name: shown_groups(one) for name, one in groups.items()}
    if as_json:
        say_json({**vars(done), "by_group": by_group})
        return
    rows = [
        (name, str(counts["due"]), str(counts["proposed"]), _held(counts))
        for name, counts in done.by_trigger.items()
    ]
    table("Proposed now", ("trigger", "due", "new", "held back, by rule"), rows, right=("due", "new"))
    for name, shown in by_group.items():
        columns = ("feature", "group", "patients", "another message")
        table(f"{name}: another message than the standard one, by group", columns, shown, right=columns[2:])
    say(*(f"Void: {count:,} ({why})" for why, count in done.void.items()))
    if done.forgotten:
        say(f"Forgotten: {done.forgotten:,} proposals of patients who opted out")
    say("Nothing was sent: a person decides about each proposal.")


def _held(counts: dict[str, int]) -> str:
    return ", ".join(
        f"{key.removeprefix('held: ')} {n:,}" for key, n in counts.items() if key.startswith("held: ")
    )
