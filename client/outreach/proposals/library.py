"""Which module of an id a patient may get: in their own language, approved today, authorised where it is marketing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from wardround.client.outreach.content.approvals import Standing
from wardround.client.outreach.content.choice import (
    MARKETING,
    Authorisations,
    Held,
    held_for_authorisation,
    module_for,
)
from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.content.language import base_language
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.permission.authorisations import SignedAuthorisations
from wardround.client.outreach.permission.permission import Permission
from wardround.client.outreach.permission.rules import RULES, channel_rules
from wardround.client.outreach.proposals.timing import equal_to
from wardround.protocol.arrays import Integers

NO_MODULE = -1


@dataclass(frozen=True, eq=False)
class Library:
    """The hospital's modules, and how they stand. modules: of the whole folder, in its order."""

    modules: tuple[Module, ...]
    standings: Mapping[str, Standing]
    guidelines: Guidelines
    guidelines_digest: str
    today: date
    authorisations: Authorisations = field(default_factory=SignedAuthorisations, repr=False)

    def written_in(self, module_id: str, language: str | None) -> Module | Held:
        """Give the module that may be sent in a language, spelt in whatever case, or why none may."""
        spelt = {one.language.lower(): one.language for one in self.modules}
        if language is not None:
            wanted = language.lower()
            language = spelt.get(wanted) or spelt.get(base_language(wanted).lower()) or language
        by_name = {one.name: one for one in self.modules}
        return module_for(module_id, language, by_name, self.standings, self.guidelines)


@dataclass(frozen=True, eq=False)
class Fitting:
    """Which modules fit which patients. module: int64 [rows, ids], place in ``Library.modules`` or NO_MODULE.

    rule: uint8 [rows, ids], the rule that holds each (``permission.rules.RULES``); 0 where it may be sent.
    """

    module: Integers
    rule: NDArray[np.uint8]


def fitting(
    library: Library,
    permission: Permission,
    index: Integers,
    ids: Sequence[str],
    topic: str,
    sensitive: Sequence[str],
) -> Fitting:
    """Find, for patients (index [rows]) and ids of modules, what may be sent. topic: the trigger's."""
    module = np.full((len(index), len(ids)), NO_MODULE, np.int64)
    rule = np.zeros(module.shape, np.uint8)
    place = {one.name: at for at, one in enumerate(library.modules)}
    languages = permission.language.gather(index)
    for language in languages.unique().to_list():
        rows = np.flatnonzero(equal_to(languages, language))
        for at, module_id in enumerate(ids):
            found = library.written_in(module_id, language)
            if isinstance(found, Held):
                rule[rows, at] = RULES.index(found.rule)
                continue
            module[rows, at] = place[found.name]
            rule[rows, at] = _rules(library, permission, index[rows], found, topic, sensitive)
    return Fitting(module, rule)


def _rules(
    library: Library,
    permission: Permission,
    index: Integers,
    module: Module,
    topic: str,
    sensitive: Sequence[str],
) -> NDArray[np.uint8]:
    if module.topic.lower() != topic:  # the folder changed since `check`
        return np.full(len(index), RULES.index("content"), np.uint8)
    rule = channel_rules(permission, index, topic, module.channel, sensitive)
    if module.message_class == MARKETING:
        names = permission.people["patient"].gather(index).to_list()
        held = [held_for_authorisation(module, one, library.authorisations) for one in names]
        refused = np.array([one is not None for one in held], np.bool_)
        rule[refused & (rule == 0)] = RULES.index("authorisation")
    return rule
