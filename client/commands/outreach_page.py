"""What patients chose on their page is heard before messages are proposed or leave, and by ``inbound --page``."""

import logging
from argparse import Namespace
from dataclasses import dataclass

from wardround.client.checks.opt_outs import refuse_if_gone
from wardround.client.commands.outreach_opened import OpenOutreach, open_outreach
from wardround.client.commands.terminal import say
from wardround.client.connectors.withdrawals import Withdrawal
from wardround.client.outreach.by_page.arrived import read_spool, take_out
from wardround.client.outreach.by_page.heard import hear_choices
from wardround.client.outreach.by_page.keys import load_page_keys
from wardround.client.outreach.by_page.settings import PREFERENCES, page_settings
from wardround.client.outreach.decide.patients import tokens_meant
from wardround.client.outreach.forgetting import CLOCK_REMEDY
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.log import report
from wardround.protocol.text.say import say_json


@dataclass(frozen=True, kw_only=True)
class PageHeard:
    """Counts of one reading of the spool."""

    choices: int = 0
    withdrawals: int = 0
    waiting: int = 0
    too_old: int = 0
    unopened: int = 0


def hear_page(outreach: OpenOutreach) -> PageHeard | None:
    """Read the spool, and empty it; None where there is no page.

    The list is durable before a file goes: after a crash at any place each choice is read again and counts once.
    """
    home = outreach.opened.home
    settings = page_settings(home.folder)
    if settings is None:
        return None
    keys = load_page_keys(home.folder)
    arrived = read_spool(settings.spool, keys)
    if not arrived.choices and not arrived.strange:
        return PageHeard()
    patients = outreach.patients()
    heard = hear_choices(arrived.choices, keys, patients, outreach.opened.now)
    new = home.withdrawals.add(heard.withdrawals, heard.latest)
    forget_withdrawn(outreach, heard.withdrawals, patients)
    take_out(settings.spool, heard.done, arrived.strange)
    return PageHeard(
        choices=len(heard.done) - heard.old - heard.strange,
        withdrawals=new,
        waiting=len(heard.waiting),
        too_old=heard.old,
        unopened=len(arrived.strange) + heard.strange,
    )


def hear_page_first(outreach: OpenOutreach) -> None:
    """Read the spool before anything is proposed or leaves; where it cannot be read, nothing is, and nothing does.

    Nor where many opt-outs are gone from the tables (``client.checks.opt_outs``), nor by a clock that jumped
    (``client.outreach.journal.believed``): opt-outs are heard by any clock.
    """
    refuse_if_gone(outreach.opened.home)
    heard = hear_page(outreach)
    if heard is not None and heard.unopened:
        report(
            f"{heard.unopened:,} files of the spool could not be opened (outreach inbound --page)",
            logging.WARNING,
        )
    if outreach.wrong_clock:
        raise ConfigurationError(
            f"clock: {outreach.wrong_clock}; nothing is proposed and nothing leaves: {CLOCK_REMEDY}"
        )


def forget_withdrawn(outreach: OpenOutreach, rows: tuple[Withdrawal, ...], patients: dict[str, str]) -> None:
    """Have the journal forget those who want no contact any more.

    Also for rows that were read before: a crash may have come between the two.
    """
    home = outreach.opened.home
    standing = {one.record for one in home.withdrawals.standing()}
    gone = [one.patient for one in rows if one.record in standing and one.is_all_contact]
    if gone:
        outreach.journal.forget(tokens_meant(gone, patients, home.source.place("messages").patient.form))


def inbound_page(options: Namespace) -> None:
    """Read the spool once, and say what came of it."""
    with open_outreach(options) as outreach:
        heard = hear_page(outreach)
    if heard is None:
        raise ConfigurationError(
            f"{PREFERENCES}: there is none; begin with: wardround-hospital preferences begin"
        )
    if options.json:
        say_json(vars(heard))
    else:
        say(
            f"{heard.choices:,} choices heard; they count from now on. New lines of withdrawals: {heard.withdrawals:,}."
        )
        if heard.waiting:
            say(f"Kept in the spool, since no address names their patient today: {heard.waiting:,}.")
        if heard.too_old:
            say(f"Made after their link's last day, and left out: {heard.too_old:,}.")
    if heard.unopened:
        raise ConfigurationError(
            f"{heard.unopened:,} files of the spool were not sealed for this hospital; was keys/preferences.key put "
            "back from an old copy, or does somebody else write there? See docs/preferences.md"
        )
