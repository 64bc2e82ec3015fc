"""Which module a patient gets in their own language, and what the gate of outreach asks of a module. Pure.

What proposals stand on: nobody is sent a module in a language that is not theirs, nor one that is not approved; and
nobody is sent marketing without an authorisation of their own on record.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from wardround.client.outreach.content.approvals import Standing
from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.content.language import base_language
from wardround.client.outreach.content.module import Module


@dataclass(frozen=True)
class Held:
    """Nothing may be sent. rule: one word, for the journal; why: a line for people, without anything of a patient's."""

    rule: str
    why: str


class Authorisations(Protocol):
    """What patients signed about marketing (45 CFR 164.508(a)(3)): ``permission.authorisations`` reads it."""

    def signed(self, patient: str, paid_by: str, topic: str) -> str:
        """Give the day on which this patient signed for a topic and who pays; empty where they did not.

        paid_by: as the module names it; empty for the hospital's own marketing. An authorisation for paid messages
        must say who pays.
        """


def module_for(
    module_id: str,
    language: str | None,
    modules: Mapping[str, Module],
    standings: Mapping[str, Standing],
    guidelines: Guidelines,
) -> Module | Held:
    """Give the module of this id that may be sent in a patient's language, or say why none may.

    language: as in ``es`` or ``es-MX``, for which ``es`` will do; None where the patient named none. modules,
    standings: of the whole folder, by name.
    """
    wanted = language or guidelines.languages[0]
    # From the region to the language, and never to another language: who does not read it is not reached by it.
    names = [f"{module_id}.{one}" for one in dict.fromkeys((wanted, base_language(wanted)))]
    there = [name for name in names if name in modules]
    if not there:
        return Held("language", f"there is no module {module_id} in the language {wanted}")
    sendable = [modules[name] for name in there if standings[name].may_be_sent]
    if not sendable:
        return Held("content", f"{there[0]}: {standings[there[0]].state}")
    return sendable[0]


MARKETING = "marketing"


def held_for_authorisation(module: Module, patient: str, authorisations: Authorisations) -> Held | None:
    """Say why marketing may not go to this patient; None where it may, or where the module is none."""
    if module.message_class != MARKETING or authorisations.signed(patient, module.paid_by, module.topic):
        return None
    return Held("authorisation", f"{module.name} is marketing, and no authorisation is on record")
