"""Standing approvals, on pages for who decides about messages: by the rules of ``outreach standing``."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wardround.client.commands.outreach_opened import OpenOutreach, open_outreach
from wardround.client.commands.outreach_standing import (
    HOLDS,
    WAITS,
    end_standing,
    new_standing,
    second_signature,
    sign_standing,
    standing_states,
)
from wardround.client.console.texts import text_of_module
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.decide.decisions import Decider
from wardround.client.outreach.decide.rules import role_of
from wardround.client.outreach.decide.standing import LONGEST_DAYS, POPULATIONS, standing_to_plain
from wardround.client.outreach.journal.journal import JOURNAL_FILE
from wardround.client.outreach.triggers.settings import OUTREACH
from wardround.client.outreach.triggers.settings_file import settings_of
from wardround.client.policy.people_file import people_of
from wardround.protocol.errors import ConfigurationError

_NUMBERS = ("per_day", "in_all", "sample")
_LOOK_AGAIN = "module: its text changed since you saw it; look at the page again"


class StandingDesk:
    """Standing approvals of one home."""

    def __init__(self, home: Path) -> None:
        """Name the home."""
        self._home = home

    def all(self, person: str) -> dict[str, Any]:
        """List them with their texts, and what a new one could be about."""
        role_of(person, people_of(self._home))
        if not self._begun():
            return {"standing": [], "offers": []}
        with open_outreach(Namespace(home=self._home)) as outreach:
            modules = {one.name: one for one in outreach.content().modules}
            rows = [
                standing_to_plain(one.standing)
                | {"number": one.number, "state": state, "people": one.people}
                | {"mine": person in one.people, "ends": state in (HOLDS, WAITS)}
                | {"texts": _texts(modules.get(one.standing.module), one.standing.digest)}
                for one, state in standing_states(outreach)
            ]
            return {"standing": rows, "offers": list(self._offers(outreach))}

    def offer(self, person: str, given: Mapping[str, str]) -> dict[str, Any]:
        """Show the text that a new one would be about; ConfigurationError where there can be none."""
        role_of(person, people_of(self._home))
        if not self._begun():
            raise ConfigurationError(
                "module: nothing was proposed yet; first: wardround-hospital outreach propose"
            )
        with open_outreach(Namespace(home=self._home)) as outreach:
            wanted = {"trigger": given.get("trigger", ""), "module": given.get("module", "")}
            if wanted not in list(self._offers(outreach)):
                raise ConfigurationError(
                    "module: none of this trigger may be sent today; see the standing approvals"
                )
            module = outreach.content().find(wanted["module"])
            today = outreach.opened.home.date(outreach.opened.now)
            return {
                **wanted,
                "text": text_of_module(module),
                "digest": module.digest,
                "populations": POPULATIONS,
                "today": today.isoformat(),
                "days": LONGEST_DAYS,
            }

    def decide(self, person: str, given: Mapping[str, str]) -> dict[str, Any]:
        """Begin, sign or end one; ConfigurationError where the person may not."""
        act = _ACTS.get(given.get("act", ""))
        if act is None:
            raise ConfigurationError("act: must be begin, sign or end")
        with open_outreach(Namespace(home=self._home)) as outreach:
            reason = " ".join(given.get("reason", "").split())
            decider = outreach.decider(person, reason)
            role_of(decider.person, outreach.people)
            act(outreach, decider, given)
        return {}

    def _begun(self) -> bool:
        """Whether outreach was begun here; opening its journal would begin it."""
        return (self._home / OUTREACH).exists() and (self._home / JOURNAL_FILE).exists()

    def _offers(self, outreach: OpenOutreach) -> Iterator[dict[str, str]]:
        """Give each trigger with each of its modules that may be sent today."""
        content = outreach.content()
        standings = outreach.standings(content)
        for trigger in settings_of(self._home).triggers:
            for module in content.modules:
                if module.id in trigger.modules and standings[module.name].may_be_sent:
                    yield {"trigger": trigger.name, "module": module.name}


def _begin(outreach: OpenOutreach, decider: Decider, given: Mapping[str, str]) -> None:
    terms = {"population": given.get("population", ""), "until": given.get("until", "")}
    numbers = {name: _whole(given, name) for name in _NUMBERS}
    module, made = new_standing(
        outreach, decider, given.get("trigger", ""), given.get("module", ""), {**terms, **numbers}
    )
    if module.digest != given.get("digest"):
        raise ConfigurationError(_LOOK_AGAIN)
    sign_standing(decider, made)


def _sign(outreach: OpenOutreach, decider: Decider, given: Mapping[str, str]) -> None:
    # The text is that which the first person signed, or it is refused: nothing else can have been on the page.
    _, one = second_signature(outreach, decider, _whole(given, "number"))
    sign_standing(decider, one.standing, one.number)


def _end(outreach: OpenOutreach, decider: Decider, given: Mapping[str, str]) -> None:
    end_standing(outreach, decider, _whole(given, "number"))


_ACTS = {"begin": _begin, "sign": _sign, "end": _end}


def _whole(given: Mapping[str, str], name: str) -> int:
    text = given.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ConfigurationError(f"{name.replace('_', '-')}: must be a whole number")
    return int(text)


def _texts(module: Module | None, digest: str) -> list[dict[str, Any]]:
    """Give the text that was signed; none where it is another one today."""
    return [text_of_module(module)] if module is not None and module.digest == digest else []
