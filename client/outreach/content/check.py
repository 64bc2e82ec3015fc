"""Everything that a module is checked for before a person reads it, and modules beside each other. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.content.language import base_language
from wardround.client.outreach.content.links import link_fault
from wardround.client.outreach.content.module import PARTS, Module
from wardround.client.outreach.content.placeholders import (
    LINK,
    LINKS,
    looks_like_link,
    placeholder_names,
    without_placeholders,
)
from wardround.client.outreach.content.reading_level import formula_of, reading_level
from wardround.client.outreach.content.sms import SmsSize, other_letters, sms_size
from wardround.client.outreach.content.stopping import may_say_how_to_stop, must_say_how_to_stop
from wardround.client.outreach.content.translation import translation_faults
from wardround.client.outreach.content.wording import hidden_faults, phrases_found
from wardround.client.outreach.content.words import word_faults
from wardround.client.outreach.content.written import longest_text
from wardround.protocol.contract.contract import Contract
from wardround.protocol.text.section import shown

PRIVATE_CHANNELS = ("portal", "letter", "phone")
"""Channels that may carry a sensitive topic: an SMS or a plain e-mail is read by whoever holds the device."""


@dataclass(frozen=True, kw_only=True)
class CheckedModule:
    """What was found of one module. faults: each a line that begins with the file's name.

    sms, sms_other: its size with every placeholder at its longest, in usual letters and in a patient's own; None for
    another channel. reading: its level, None where the language has no formula. unchecked: what no rule here looked at.
    """

    module: Module
    faults: tuple[str, ...]
    sms: SmsSize | None
    sms_other: SmsSize | None
    reading: float | None
    unchecked: tuple[str, ...]


def check(
    modules: Sequence[Module], guidelines: Guidelines, contract: Contract | None
) -> tuple[CheckedModule, ...]:
    """Check modules by themselves and beside each other, in their order. contract: whose words they must use."""
    by_name = {module.name: module for module in modules}
    reports = []
    for module in modules:
        measured = _measured(module, guidelines, contract)
        found = [*_faults(measured, guidelines, contract), *translation_faults(module, by_name, guidelines)]
        reports.append(replace(measured, faults=tuple(f"{module.name}: {fault}" for fault in found)))
    return tuple(reports)


def check_one(
    module: Module, modules: Sequence[Module], guidelines: Guidelines, contract: Contract | None
) -> CheckedModule:
    """Check one module beside the others of its folder."""
    return next(one for one in check(modules, guidelines, contract) if one.module is module)


def _measured(module: Module, guidelines: Guidelines, contract: Contract | None) -> CheckedModule:
    """Measure a module; no fault is looked for yet."""
    sms, other = sms_sizes(module, guidelines)
    level = reading_level(without_placeholders(module.text), module.language)
    unchecked = [
        *(["the contract's words"] if contract is None else []),
        *(["reading level"] if level is None or _bound(module, guidelines) is None else []),
        *(["phrases"] if base_language(module.language) not in guidelines.phrases else []),
        *(["how to stop"] if must_say_how_to_stop(module) and may_say_how_to_stop(module) is None else []),
    ]
    return CheckedModule(
        module=module,
        faults=(),
        sms=sms,
        sms_other=other,
        reading=level,
        unchecked=tuple(unchecked),
    )


def sms_parts(checked: CheckedModule) -> str:
    """Spell how many parts a text message takes at most: in usual letters, then in a patient's own; else nothing."""
    if checked.sms is None or checked.sms_other is None:
        return ""
    least, most = checked.sms.segments, checked.sms_other.segments
    return str(least) if least == most else f"{least} to {most}"


def sms_sizes(module: Module, guidelines: Guidelines) -> tuple[SmsSize | None, SmsSize | None]:
    """Measure a text message, its placeholders at their longest: in usual letters, and in those of any alphabet."""
    if module.channel != "sms":
        return None, None
    return sms_size(longest_text(module, guidelines, "x")), sms_size(longest_text(module, guidelines, "č"))


def _faults(measured: CheckedModule, guidelines: Guidelines, contract: Contract | None) -> Iterator[str]:
    module = measured.module
    if contract is not None:
        yield from word_faults(module, contract)
    if module.language not in guidelines.languages:
        yield f"language={module.language}: is not in guidelines.yaml (languages)"
    yield from _placeholder_faults(module, guidelines)
    for text in (module.subject, module.text, module.voice):
        yield from hidden_faults(without_placeholders(text))
    yield from _link_faults(module, guidelines)
    yield from _length_faults(measured, guidelines)
    yield from _reading_faults(measured, guidelines)
    yield from _phrase_faults(module, guidelines)
    yield from _topic_faults(module, guidelines, contract)
    yield from _payment_faults(module, guidelines)
    yield from _variant_faults(module)
    if must_say_how_to_stop(module) and may_say_how_to_stop(module) is False:
        yield "does not say how to stop; an SMS and marketing must, as in: Reply STOP to end these messages"


def _placeholder_faults(module: Module, guidelines: Guidelines) -> Iterator[str]:
    for name in placeholder_names(module.text + module.voice):
        if name != LINK and name not in guidelines.placeholders:
            allowed = ", ".join((LINK, *guidelines.placeholders))
            yield f"placeholder {{{shown(name)}}}: is not in guidelines.yaml (placeholders); allowed: {allowed}"
    if placeholder_names(module.subject):
        yield "subject: must hold no placeholder; a locked screen shows it to everybody"


def _link_faults(module: Module, guidelines: Guidelines) -> Iterator[str]:
    if module.link:
        fault = link_fault(module.link, guidelines.link_hosts, guidelines.link_parameters)
        if fault:
            yield f"link={shown(module.link)}: {fault}"
    used = LINK in placeholder_names(module.text)
    if used != bool(module.link):
        yield (
            "{link} stands in the text without a link above it"
            if used
            else "link: no {link} in the text shows it"
        )
    if any(
        looks_like_link(without_placeholders(text, "xx"))
        for text in (module.subject, module.text, module.voice)
    ):
        yield "holds what a telephone turns into a link or an address; put it into link: and write {link}"


def _length_faults(measured: CheckedModule, guidelines: Guidelines) -> Iterator[str]:
    module, sms, other = measured.module, measured.sms, measured.sms_other
    longest = len(longest_text(module, guidelines, "x"))
    most = guidelines.lengths.get(module.length)
    if module.length and most is None:
        yield f"length={shown(module.length)}: guidelines.yaml (lengths) has no bound for it"
    if most is not None and longest > most:
        yield f"length={module.length}: up to {longest} characters, at most {most} (guidelines.yaml: lengths)"
    if sms is not None and sms.segments > guidelines.most_segments:
        why = other_letters(without_placeholders(module.text))
        hint = f"; {' '.join(why[:10])} need {sms.encoding}" if why else ""
        yield f"sms: up to {sms.segments} parts, at most {guidelines.most_segments} (most_segments){hint}"
    if other is not None and other.segments > guidelines.most_segments_other:
        bound = f"at most {guidelines.most_segments_other} (most_segments_in_other_letters)"
        yield f"sms: up to {other.segments} parts where a patient's name needs {other.encoding}, {bound}"


def _bound(module: Module, guidelines: Guidelines) -> float | None:
    return guidelines.reading.get(base_language(module.language))


def _reading_faults(measured: CheckedModule, guidelines: Guidelines) -> Iterator[str]:
    module, level = measured.module, measured.reading
    formula, bound = formula_of(module.language), _bound(module, guidelines)
    if formula and bound is not None and level is not None and not formula.holds(level, bound):
        side = "at least" if formula.higher_is_easier else "at most"
        yield (
            f"reading level {level:.1f} ({formula.name}, {formula.unit}), {side} {bound:g}; use shorter sentences "
            "and words"
        )


def _phrase_faults(module: Module, guidelines: Guidelines) -> Iterator[str]:
    phrases = guidelines.phrases.get(base_language(module.language), {})
    text = "\n".join((module.subject, module.text, module.voice))
    for category, phrase in phrases_found(text, phrases):
        yield f"{category.replace('_', ' ')}: says “{phrase}” (guidelines.yaml: phrases)"
    if module.tone in guidelines.urgent_tones and not module.clinical_fact:
        yield f"tone={module.tone}: needs clinical_fact: the fact in a patient's record that makes it urgent"


def _topic_faults(module: Module, guidelines: Guidelines, contract: Contract | None) -> Iterator[str]:
    sensitive = {
        *guidelines.sensitive_topics,
        *(contract.topic.sensitive if contract and contract.topic else ()),
    }
    if module.topic in sensitive and module.channel not in PRIVATE_CHANNELS:
        allowed = ", ".join(PRIVATE_CHANNELS)
        yield f"topic={module.topic}: is sensitive, and must not go by {module.channel}; allowed: {allowed}"


def _payment_faults(module: Module, guidelines: Guidelines) -> Iterator[str]:
    if bool(module.paid_by) != bool(module.payment):
        yield "paid_by and payment go together: who pays, and whether it is cost_only or more"
    if not module.paid_by or module.message_class == "marketing":
        return
    if module.topic not in guidelines.refill_topics or module.payment != "cost_only":
        yield (
            f"class={module.message_class}: paid by others is marketing, but for a refill reminder (guidelines.yaml: "
            "refill_topics) that is paid at cost"
        )


def _variant_faults(module: Module) -> Iterator[str]:
    for link in sorted({*LINKS} & {*placeholder_names(module.spoken)}):
        where = "[voice]: a link cannot be heard" if module.voice else "[voice]: is missing"
        yield f"{where}; say there what the text says, and a telephone number in the place of {{{link}}}"
    if module.channel == "email" and not module.subject:
        yield "subject: is missing; an e-mail has one"
    if module.channel in ("sms", "phone") and module.subject:
        yield f"subject: a message by {module.channel} has none"
    if not any(module.parts.get(part, "").strip() for part in PARTS):
        yield "has no text"
