"""A small hospital's guidelines and modules, as text and as values; tests change what they are about."""

from pathlib import Path

import yaml

from wardround.client.outreach.content.guidelines import Guidelines, read_guidelines
from wardround.client.outreach.content.module import Module, read_module

GUIDELINES = {
    "languages": ["en", "es"],
    "translators": {"María López": {"languages": ["es"], "qualification": "ATA certified"}},
    "link_hosts": ["www.north.example"],
    "placeholders": {"first_name": 30, "date": 20, "place": 40},
    "lengths": {"short": 300, "long": 3000},
    "sms": {"most_segments": 2, "most_segments_in_other_letters": 4},
    "reading": {"en": 8, "es": 40},
    "urgent_tones": ["urgent"],
    "sensitive_topics": ["oncology"],
    "refill_topics": ["medication_refill"],
    "phrases": {"en": {"guilt": ["let us down", "disappoint*"], "false_urgency": ["act now"]}},
}
HEAD = {
    "id": "visit",
    "language": "en",
    "topic": "screening",
    "channel": "sms",
    "length": "short",
    "class": "care",
    "author": "Ada Byron",
    "valid_from": "2026-12-01",
    "valid_until": "2027-11-30",
}
PARTS = {
    "greeting": "Hello {first_name},",
    "core": "you have a visit on {date}: see you then.",
    "call to action": "To change it, call us. Reply STOP to stop.",
}
PEOPLE = """
people:
  grace: {name: Grace Hopper, roles: [clinician, approver]}
  ida: {name: Ida Rhodes, roles: [clinician, approver]}
  ada: {name: Ada Byron, roles: [communications]}
  maria: {name: María López}
"""
LINK = "https://www.north.example/visits"
LINKED = {
    "link": LINK,
    "parts": {"core": "Book a visit: {link} Reply STOP to stop.", "voice": "Call us to book a visit."},
}
SPANISH = {
    "language": "es",
    "translated_from": "en",
    "translator": "María López",
    "parts": {
        "greeting": "Hola {first_name},",
        "core": "tiene una cita el {date}.",
        "call to action": "Si no puede venir, nos llama. Escriba STOP para no recibir otro.",
    },
}


def module_text(**changes: object) -> str:
    """Write a module's file. parts: instead of all parts; a head's key by its name (``class`` as ``message_class``)."""
    parts = changes.pop("parts", PARTS)
    if "message_class" in changes:
        changes["class"] = changes.pop("message_class")
    head = {key: value for key, value in {**HEAD, **changes}.items() if value is not None}
    body = "\n".join(f"[{name}]\n{text}\n" for name, text in parts.items())  # type: ignore[attr-defined]
    return yaml.safe_dump(head, allow_unicode=True, sort_keys=False) + "\n" + body


def module_of(**changes: object) -> Module:
    """Read a module that is right in its form."""
    text = module_text(**changes)
    head = {**HEAD, **changes}
    return read_module(text.encode(), f"{head['id']}.{head['language']}.txt")


def guidelines_of(**changes: object) -> Guidelines:
    """Read guidelines."""
    return read_guidelines(yaml.safe_dump({**GUIDELINES, **changes}, allow_unicode=True).encode())


def write_people(home: Path) -> None:
    """Enrol the people of these tests."""
    (home / "people.yaml").write_text(PEOPLE, encoding="utf-8")


def write_folder(folder: Path, *modules: str, **changes: object) -> Path:
    """Write guidelines, and each module under the name that it should have."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "guidelines.yaml").write_text(yaml.safe_dump({**GUIDELINES, **changes}, allow_unicode=True))
    for text in modules:
        head = yaml.safe_load(text.partition("\n[")[0])
        (folder / f"{head['id']}.{head['language']}.txt").write_text(text)
    return folder
