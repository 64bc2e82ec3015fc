"""What people decided about modules, and what of it still holds today. Pure.

Guarantee: a module may be sent only while the last decision about it is an approval of exactly these bytes, by a person
who is enrolled and had not left; it is within its days, the guidelines of today find no fault in it, and, of a
translation, the original that it was translated from is approved and unchanged.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from wardround.client.outreach.content.check import check
from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.content.translation import original_of
from wardround.client.policy.people import People

APPROVED, RETIRED = "approved", "retired"
UNSIGNED = "who approved it is not in people.yaml, or had left"


@dataclass(frozen=True, kw_only=True)
class ContentDecision:
    """One person's decision about one module.

    kind: ``approved`` or ``retired``. digest: SHA-256 of the module's bytes; original: of those of its original, empty
    where it is one itself; guidelines: of the guidelines that it was checked by. until: its last day, None of a
    retirement.
    """

    kind: str
    id: str
    language: str
    digest: str
    original: str
    guidelines: str
    person: str
    reason: str
    until: date | None
    time: datetime

    @property
    def name(self) -> str:
        """The module's name."""
        return f"{self.id}.{self.language}"


@dataclass(frozen=True)
class Standing:
    """How a module stands. state: ``approved``, or why it may not be sent; decision: the last one, None without any."""

    state: str
    decision: ContentDecision | None = None

    @property
    def may_be_sent(self) -> bool:
        """Whether it may."""
        return self.state == APPROVED


def standings(
    modules: Sequence[Module],
    guidelines: Guidelines,
    decisions: Iterable[ContentDecision],
    people: People,
    today: date,
) -> dict[str, Standing]:
    """Say how each module stands, by name. modules: all of the folder. decisions: oldest first.

    people: an approval by nobody of them, or by who had left, was never given; a retirement is anybody's.
    """
    every = tuple(decisions)
    counted = {one.name: one for one in every if one.kind == RETIRED or people.signer(one.person, one.time)}
    last = {one.name: one for one in every}
    by_name = {module.name: module for module in modules}
    checked = check(modules, guidelines, None)
    found: dict[str, Standing] = {}
    # Originals first: a translation stands on its own.
    for one in sorted(checked, key=lambda one: bool(one.module.translated_from)):
        module, decision = one.module, counted.get(one.module.name)
        state = _state(module, decision, today)
        if state == APPROVED and one.faults:
            state = "has faults under today's guidelines"
        if state == APPROVED and module.translated_from and decision is not None:
            state = _state_of_translation(original_of(module, by_name), decision, found)
        if state != APPROVED and last.get(module.name) != decision:
            state, decision = UNSIGNED, last[module.name]
        found[module.name] = Standing(state, decision)
    return {module.name: found[module.name] for module in modules}


def _state(module: Module, decision: ContentDecision | None, today: date) -> str:
    if decision is None:
        return "waits for approval"
    if decision.kind == RETIRED or decision.until is None:
        return "retired"
    if decision.digest != module.digest:
        return "changed since it was approved"
    if today > min(decision.until, module.valid_until):
        return "lapsed"
    if today < module.valid_from:
        return "not valid yet"
    return APPROVED


def _state_of_translation(
    original: Module | None, decision: ContentDecision, found: Mapping[str, Standing]
) -> str:
    if original is None or original.digest != decision.original:
        return "its original changed"
    return APPROVED if found[original.name].may_be_sent else "its original is not approved"
