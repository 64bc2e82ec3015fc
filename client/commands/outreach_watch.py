"""``outreach watch``: propose as soon as something changed, until it is stopped."""

import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wardround.client.commands.open_home import OpenHome
from wardround.client.commands.outreach_opened import open_outreach
from wardround.client.commands.outreach_page import hear_page_first
from wardround.client.commands.outreach_propose import (
    UsableModel,
    grounds_of,
    model_choice,
    personal_choice,
    proposed_at,
    usable_model,
)
from wardround.client.commands.outreach_standing import applied_by_program
from wardround.client.commands.terminal import say
from wardround.client.home.home import Home, load_home
from wardround.client.outreach.by_page.settings import PREFERENCES, page_settings
from wardround.client.outreach.propose import Proposing, propose
from wardround.client.outreach.triggers.settings import OUTREACH
from wardround.client.outreach.watching import stamps_of, watch
from wardround.client.policy.people import PEOPLE
from wardround.protocol.errors import WardroundError
from wardround.protocol.text.text import visible
from wardround.protocol.until_stopped import until_stopped

WATCH = "outreach watch"
"""Who applies a standing approval here; who approved are the two people that signed it."""


def run_watch(options: Namespace) -> None:
    """Watch the home; each run opens it anew, so that what a person changed counts."""
    home = load_home(options.home)
    said = ""

    def run() -> None:
        nonlocal said
        try:
            line = _once(options)
        except WardroundError as error:
            line = f"Not proposed: {error}"
        if line and line != said:
            say(visible(f"{time.strftime('%H:%M:%S')} {line}", 1000))
            sys.stdout.flush()
        said = line

    with until_stopped() as wait:
        watch(run, lambda: stamps_of(home.source, _others(home)), wait, time.monotonic)


def _once(options: Namespace) -> str:
    """Propose, and then approve what standing approvals cover, as ``standing apply`` does after each ``propose``.

    A model that was recalled, or whose last day is past, ends no watch: who is due gets the standard message.
    """
    with open_outreach(options) as outreach:
        opened = outreach.opened
        hear_page_first(outreach)
        grounds = grounds_of(opened, proposed_at(opened, None))
        model, refused = _model(opened, options)
        choose = model_choice(model, grounds)
        personal = personal_choice(choose, options.personal and not refused)
        done = propose(outreach.journal, grounds, choose, personal)
        return "; ".join([*refused, *_lines(done, applied_by_program(outreach, WATCH))])


def _model(opened: OpenHome, options: Namespace) -> tuple[UsableModel | None, list[str]]:
    try:
        return usable_model(opened, options), []
    except WardroundError as error:
        return None, [f"Standard messages alone, without a model: {error}"]


def _others(home: Home) -> Iterator[Path]:
    """Files beside the tables on which a run stands."""
    yield home.folder / OUTREACH
    yield home.folder / PEOPLE
    yield home.withdrawals.path
    yield home.folder / PREFERENCES
    with suppress(WardroundError):  # half written: the run says what is wrong, and the watch goes on
        page = page_settings(home.folder)
        yield from () if page is None else (page.spool,)
    yield from sorted(home.content_folder.glob("*"))
    yield from sorted(home.approvals_folder.glob("*"))
    yield from sorted(home.recalls.glob("*"))


def _lines(done: Proposing, approved: dict[int, tuple[int, ...]]) -> list[str]:
    new = {name: counts["proposed"] for name, counts in done.by_trigger.items() if counts["proposed"]}
    parts = [f"{name}: {count:,} proposed" for name, count in new.items()]
    parts += [f"{len(ids):,} approved by standing approval {number}" for number, ids in approved.items()]
    parts += [f"{count:,} void ({why})" for why, count in done.void.items()]
    parts += [f"{done.forgotten:,} forgotten"] if done.forgotten else []
    return parts
