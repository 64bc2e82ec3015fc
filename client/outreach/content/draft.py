"""Drafts: variants of a module that a program wrote, as files of their own that nothing here ever sends.

What goes to the program is public: the module's text and attributes, and what the guidelines say of texts. No
patient, no person's name, no address. What comes back is text by others: bounded, visible, and written so that no
line of it becomes an attribute or a part.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from wardround.client.outreach.content.folder import ContentFolder
from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.content.language import base_language
from wardround.client.outreach.content.module import PARTS, SUFFIX, VOICE, Module, read_module
from wardround.client.outreach.content.reading_level import formula_of
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import PlainError, read_json

MOST_VARIANTS = 20
_LONGEST_TEXT, _LONGEST_SUBJECT, _LONGEST_ID = 10_000, 200, 34
_VARIANT_KEYS = {"subject", "parts", VOICE}


def draft_request(module: Module, guidelines: Guidelines, count: int) -> bytes:
    """Write what the program is given: canonical JSON, described in docs/hospital-content.md.

    ConfigurationError for another number of variants than 1 to ``MOST_VARIANTS``.
    """
    require(1 <= count <= MOST_VARIANTS, "count", count, f"must be from 1 to {MOST_VARIANTS}")
    language = base_language(module.language)
    formula = formula_of(language)
    bound = guidelines.reading.get(language)
    plain = {
        "version": 1,
        "count": count,
        "module": {
            **{
                key: getattr(module, key)
                for key in ("language", "topic", "channel", "tone", "length", "subject", VOICE)
            },
            "parts": dict(module.parts),
        },
        "guidelines": {
            "placeholders": dict(guidelines.placeholders),
            "most_characters": guidelines.lengths.get(module.length),
            "most_sms_parts": guidelines.most_segments,
            "reading": None
            if formula is None or bound is None
            else {"formula": formula.name, "bound": bound},
            "never_say": {key: list(value) for key, value in guidelines.phrases.get(language, {}).items()},
        },
    }
    return canonical_json(plain)


def read_variants(output: bytes, module: Module, count: int, most: int) -> list[Module]:
    """Read the program's answer: ``{"variants": [{"parts": {…}, "subject": …, "voice": …}]}``.

    Each variant is the module with other texts, without digest. ConfigurationError for anything else, and for more
    variants than were asked for; nothing of the answer is repeated.
    """
    try:
        plain = read_json(output, most)
    except PlainError as error:
        raise ConfigurationError(f"draft: the program's answer {error}") from error
    variants = plain.get("variants") if isinstance(plain, dict) and plain.keys() == {"variants"} else None
    if not isinstance(variants, list) or not 1 <= len(variants) <= count:
        raise ConfigurationError(f"draft: the program's answer must be an object with 1 to {count} variants")
    return [_variant(one, number, module) for number, one in enumerate(variants, 1)]


def draft_files(
    variants: Collection[Module], module: Module, content: ContentFolder, person: str, program: str
) -> dict[str, bytes]:
    """Write each variant as a file under a name that nobody has: name → bytes.

    person: who asked for them, and so their author, who cannot approve them. ConfigurationError where a text would be
    read as something else than it is.
    """
    files: dict[str, bytes] = {}
    taken = {one.id for one in content.modules} | {name.partition(".")[0] for name in content.drafts}
    base = re.sub(r"-v[0-9]{1,3}$", "", module.id)[:_LONGEST_ID]
    for number, variant in enumerate(variants, 1):
        own = next(name for name in (f"{base}-v{count}" for count in range(1, 10_000)) if name not in taken)
        taken.add(own)
        named = replace(
            variant,
            id=own,
            author=person,
            drafted_with=program,
            translated_from="",
            translator="",
        )
        file = f"{named.name}{SUFFIX}"
        files[file] = _written(named, file, number)
    return files


def _variant(plain: object, number: int, module: Module) -> Module:
    wrong = ConfigurationError(
        f"draft: variant {number} must be an object of parts ({', '.join(PARTS)}), subject and voice, all texts"
    )
    if not isinstance(plain, dict) or not plain.keys() <= _VARIANT_KEYS:
        raise wrong
    parts, subject, voice = plain.get("parts"), plain.get("subject", ""), plain.get(VOICE, "")
    if not isinstance(parts, dict) or not parts.keys() <= set(PARTS):
        raise wrong
    texts = (*parts.values(), subject, voice)
    if not all(isinstance(text, str) and len(text) <= _LONGEST_TEXT for text in texts):
        raise wrong
    if len(subject) > _LONGEST_SUBJECT:
        raise wrong
    kept = {part: parts[part].strip("\n") for part in PARTS if part in parts}
    return replace(module, parts=kept, subject=subject, voice=voice.strip("\n"), digest="")


def _written(module: Module, file: str, number: int) -> bytes:
    """Write a module's file, and read it again: what the reader finds must be what was to be written."""
    content = module_content(module)
    try:
        found = read_module(content, file)
    except ConfigurationError as error:
        raise ConfigurationError(f"draft: variant {number} cannot be a module: {error}") from error
    if replace(found, digest="") != replace(module, digest=""):
        raise ConfigurationError(
            f"draft: variant {number} holds a line that would be read as a part, or empty ends"
        )
    return content


def module_content(module: Module) -> bytes:
    """Write a module's file; ``read_module`` is its inverse for every text that a module can hold."""
    attributes: Mapping[str, Any] = {
        **{key: getattr(module, key) for key in ("id", "language", "topic", "channel", "tone", "length")},
        **{key: getattr(module, key) for key in ("link", "subject", "clinical_fact", "paid_by", "payment")},
        "class": module.message_class,
        **{key: getattr(module, key) for key in ("author", "drafted_with", "translated_from", "translator")},
        "valid_from": str(module.valid_from),
        "valid_until": str(module.valid_until),
    }
    # JSON's spelling of a text is YAML's too, quotes and all.
    head = [f"{key}: {json.dumps(text, ensure_ascii=False)}" for key, text in attributes.items() if text]
    parts = {**module.parts, **({VOICE: module.voice} if module.voice else {})}
    blocks = [f"[{name}]\n{text}\n" for name, text in parts.items()]
    return "\n".join(["\n".join(head), "", "\n".join(blocks)]).encode()
