"""A translation says the same as its original, by somebody whom the hospital's guidelines name as qualified."""

from collections.abc import Iterator, Mapping

from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.content.placeholders import placeholder_names
from wardround.protocol.text.section import shown

_SAME = ("topic", "channel", "tone", "length", "message_class", "paid_by", "payment", "clinical_fact")


def translation_faults(
    module: Module, modules: Mapping[str, Module], guidelines: Guidelines
) -> Iterator[str]:
    """Give what is wrong with a translation beside its original. modules: all of the folder, by name."""
    if not module.translated_from:
        if module.translator:
            yield "translator: needs translated_from, the original's language"
        for other in modules.values():
            # Without this, a translation would pass as an original, and need no translator.
            if other.id == module.id and not other.translated_from and other.language != module.language:
                yield f"{other.name} is an original of the same id too; say translated_from in all but one"
        return
    original = original_of(module, modules)
    if original is None:
        yield f"translated_from={shown(module.translated_from)}: there is no original {module.id} in that language"
    else:
        yield from _differences(module, original)
    yield from _translator_faults(module, guidelines)


def original_of(module: Module, modules: Mapping[str, Module]) -> Module | None:
    """Find what a module is a translation of; None where it is none, or where there is no such original."""
    original = modules.get(f"{module.id}.{module.translated_from}")
    return original if original is not None and not original.translated_from else None


def _differences(module: Module, original: Module) -> Iterator[str]:
    for key in _SAME:
        if getattr(module, key) != getattr(original, key):
            yield f"{key.removeprefix('message_')}: must be as in {original.name}, whose translation this is"
    if set(placeholder_names(module.text)) != set(placeholder_names(original.text)):
        yield f"placeholders: must be those of {original.name}"
    if module.parts.keys() != original.parts.keys():
        yield f"parts: must be those of {original.name}"


def _translator_faults(module: Module, guidelines: Guidelines) -> Iterator[str]:
    if not module.translator:
        yield "translator: is missing; who translated it?"
        return
    known = guidelines.translators.get(module.translator)
    if known is None:
        yield f"translator={shown(module.translator)}: is not in guidelines.yaml (translators)"
    elif module.language not in known.languages:
        yield (
            f"translator={shown(module.translator)}: is qualified for {', '.join(known.languages)} "
            f"(guidelines.yaml: translators), not for {module.language}"
        )
