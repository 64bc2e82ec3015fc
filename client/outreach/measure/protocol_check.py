"""Whether what a protocol names is there: its tables and modules, and a journal that keeps what it counts. Pure."""

from collections.abc import Collection, Iterable, Mapping

from wardround.client.connectors.source import TableSource
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.measure.protocol import OutreachProtocol
from wardround.client.outreach.measure.protocol_settings import PROTOCOL
from wardround.client.outreach.triggers.settings import OUTREACH, OutreachSettings
from wardround.protocol.text.nearest import did_you_mean


def protocol_faults(
    protocol: OutreachProtocol, settings: OutreachSettings, modules: Iterable[Module], source: TableSource
) -> list[str]:
    """Give every fault, each with its remedy. modules: of the whole folder."""
    triggers = [one for one in settings.triggers if one.to == "patient"]
    faults = _of_modules(
        protocol,
        {module.id: module.topic.lower() for module in modules},
        {module for trigger in triggers for module in trigger.modules},
    )
    tables = {protocol.outcome.rows.table: "outcome"}
    tables |= {one.rows.table: f"guardrails.{name}" for name, one in protocol.guardrails.items()}
    tables |= {one.table: f"groups.{name}" for name, one in protocol.groups.items()}
    faults += [
        f"{PROTOCOL}.{where}: reads {table}, which hospital.yaml does not name (tables.{table})"
        for table, where in tables.items()
        if not source.has(table)
    ]
    lasts = (protocol.last_day - protocol.starts).days + 2
    if settings.keep_days < lasts:
        faults.append(
            f"{OUTREACH}.keep_days={settings.keep_days}: the journal must keep who was counted in for {lasts} days, "
            f"until the last window ends; set keep_days to {lasts}, or let the protocol end earlier"
        )
    return faults


def _of_modules(protocol: OutreachProtocol, topics: Mapping[str, str], sent: Collection[str]) -> list[str]:
    """Give the faults of modules that are named. topics: of each that there is; sent: those that a trigger names."""
    equal = [(f"{PROTOCOL}.equivalent", one) for group in protocol.equivalent for one in group]
    single = [(f"{PROTOCOL}.best_single.{topic}", one) for topic, one in protocol.best_single.items()]
    faults = [
        f"{where}={one}: there is no such module; {did_you_mean(one, topics)}see content list"
        for where, one in (*equal, *single)
        if one not in topics
    ]
    faults += [
        f"{where}={one}: no trigger may send it; name it under options in {OUTREACH}"
        for where, one in (*equal, *single)
        if one in topics and one not in sent
    ]
    faults += [
        f"{PROTOCOL}.best_single.{topic}={one}: is about {topics[one]}"
        for topic, one in protocol.best_single.items()
        if topics.get(one, topic) != topic
    ]
    faults += [
        f"{PROTOCOL}.equivalent={', '.join(group)}: are about different topics, so they are not the same"
        for group in protocol.equivalent
        if len({topics[one] for one in group if one in topics}) > 1
    ]
    return faults
