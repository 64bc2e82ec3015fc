"""Whether what ``outreach.yaml`` declares is there: the tables in the mapping, and the modules in the folder."""

from collections.abc import Iterable, Iterator

from wardround.client.connectors.source import TableSource
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.triggers.settings import OUTREACH, OutreachSettings
from wardround.client.outreach.triggers.trigger import Trigger
from wardround.protocol.text.nearest import did_you_mean


def declared_faults(settings: OutreachSettings, modules: Iterable[Module], source: TableSource) -> list[str]:
    """Give every fault, each with its remedy. modules: of the whole folder."""
    known: dict[str, list[Module]] = {}
    for module in modules:
        known.setdefault(module.id, []).append(module)
    faults = []
    for trigger in settings.triggers:
        path = f"{OUTREACH}.triggers.{trigger.name}"
        faults += [f"{path}: {fault}" for fault in _faults(trigger, known, source)]
    needs_consents = settings.contact.required or settings.personalise.required
    if settings.triggers and needs_consents and not source.has("consents"):
        faults.append(f"{OUTREACH}.consents: are required, and hospital.yaml names no table of consents")
    return faults


def _faults(trigger: Trigger, known: dict[str, list[Module]], source: TableSource) -> Iterator[str]:
    for table in trigger.tables:
        if not source.has(table):
            yield f"reads {table}, which hospital.yaml does not name (tables.{table})"
    for name in trigger.modules:
        if name not in known:
            yield f"{name}: there is no such module; {did_you_mean(name, known)}see content list"
        for module in known.get(name, ()):
            if module.topic.lower() != trigger.topic:
                yield f"{module.name}: is about {module.topic}, and the trigger about {trigger.topic}"
