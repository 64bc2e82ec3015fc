"""A hospital's guidelines: ``content/guidelines.yaml``, which its own people edit. What it does not list is refused.

``templates/guidelines.yaml`` is what ``content begin`` writes, and says what each key means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wardround.client.outreach.content.language import is_language
from wardround.client.outreach.content.links import is_host
from wardround.client.outreach.content.placeholders import LINK, pieces
from wardround.client.outreach.content.reading_level import FORMULAS
from wardround.client.outreach.content.wording import CATEGORIES
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.faults import Faults
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section

GUIDELINES = "guidelines.yaml"
_LONGEST_TEXT, _LONGEST_VALUE, _MOST_SEGMENTS, _MOST_PHRASES = 10_000, 200, 20, 1000


@dataclass(frozen=True, kw_only=True)
class Translator:
    """Who may sign translations: into which languages, and by which qualification."""

    languages: tuple[str, ...]
    qualification: str


@dataclass(frozen=True, kw_only=True)
class Guidelines:
    """What the hospital allows.

    languages: the first is what a patient gets who named none. placeholders: name → most characters of a value.
    lengths: word of the contract → most characters of a text. most_segments: of a text message; most_segments_other:
    where a patient's own letters need UCS-2. reading: language → bound in its formula's unit. phrases: language →
    category → phrases.
    """

    languages: tuple[str, ...]
    translators: Mapping[str, Translator] = field(default_factory=dict)
    link_hosts: tuple[str, ...] = ()
    link_parameters: tuple[str, ...] = ()
    placeholders: Mapping[str, int] = field(default_factory=dict)
    lengths: Mapping[str, int] = field(default_factory=dict)
    most_segments: int = 2
    most_segments_other: int = 4
    reading: Mapping[str, float] = field(default_factory=dict)
    urgent_tones: tuple[str, ...] = ()
    sensitive_topics: tuple[str, ...] = ()
    refill_topics: tuple[str, ...] = ()
    phrases: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


def read_guidelines(content: bytes, name: str = GUIDELINES) -> Guidelines:
    """Read the file's bytes; ConfigurationError with every fault of it in one line."""
    section, faults = Section(read_yaml(content, name, LARGEST_YAML), name), Faults()
    sms = faults.take(lambda: section.section("sms"), Section({}, f"{name}.sms"))
    guidelines = Guidelines(
        languages=faults.take(lambda: _languages(section), ()),
        translators=faults.take(lambda: _translators(section), {}),
        link_hosts=faults.take(lambda: _hosts(section), ()),
        link_parameters=faults.take(lambda: section.texts("link_parameters", ()), ()),
        placeholders=faults.take(lambda: _placeholders(section), {}),
        lengths=faults.take(lambda: _numbers(section, "lengths", _LONGEST_TEXT), {}),
        most_segments=faults.take(lambda: sms.integer("most_segments", 1, _MOST_SEGMENTS), 1),
        most_segments_other=faults.take(
            lambda: sms.integer("most_segments_in_other_letters", 1, _MOST_SEGMENTS), 1
        ),
        reading=faults.take(lambda: _reading(section), {}),
        urgent_tones=faults.take(lambda: section.texts("urgent_tones", ()), ()),
        sensitive_topics=faults.take(lambda: section.texts("sensitive_topics", ()), ()),
        refill_topics=faults.take(lambda: section.texts("refill_topics", ()), ()),
        phrases=faults.take(lambda: _phrases(section), {}),
    )
    for part in (sms, section):
        faults.take(part.finish, None)
    if faults.lines:
        raise ConfigurationError("; ".join(faults.lines))
    return guidelines


def _languages(section: Section) -> tuple[str, ...]:
    languages = section.texts("languages")
    if not languages or not all(map(is_language, languages)):
        raise section.fail("languages", "must name at least one language, as in [en, es]")
    return languages


def _translators(section: Section) -> Mapping[str, Translator]:
    part, found = section.section("translators", {}), {}
    for name in sorted(part.keys()):
        one = part.section(name)
        languages, qualification = one.texts("languages"), one.text("qualification")
        one.finish()
        if not all(map(is_language, languages)):
            raise one.fail("languages", "must be languages, as in [es, fr-CA]")
        found[name] = Translator(languages=languages, qualification=qualification)
    return found


def _hosts(section: Section) -> tuple[str, ...]:
    hosts = section.texts("link_hosts", ())
    if not all(map(is_host, hosts)):
        raise section.fail("link_hosts", "must be names of hosts in small letters, as in [www.north.example]")
    return hosts


def _placeholders(section: Section) -> Mapping[str, int]:
    placeholders = _numbers(section, "placeholders", _LONGEST_VALUE)
    for name in placeholders:
        if name == LINK or len(pieces(f"{{{name}}}")) != 1 or isinstance(pieces(f"{{{name}}}")[0], str):
            raise section.fail("placeholders", f"must be names in small letters and '_', none of them {LINK}")
    return placeholders


def _numbers(section: Section, key: str, most: int) -> Mapping[str, int]:
    part = section.section(key, {})
    return {name: part.integer(name, 1, most) for name in sorted(part.keys())}


def _reading(section: Section) -> Mapping[str, float]:
    part, found = section.section("reading", {}), {}
    for language in sorted(part.keys()):
        value = part.value(language)
        if language not in FORMULAS:
            raise part.fail(language, f"no formula for this language; there are {', '.join(FORMULAS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise part.fail(language, "must be a number from 0 to 100, in the formula's unit")
        found[language] = float(value)
    return found


def _phrases(section: Section) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    part, found = section.section("phrases", {}), {}
    for language in sorted(part.keys()):
        one = part.section(language)
        found[language] = {category: one.texts(category, ()) for category in CATEGORIES}
        one.finish()
        for category, phrases in found[language].items():
            if len(phrases) > _MOST_PHRASES or not all(any(map(str.isalnum, text)) for text in phrases):
                raise one.fail(category, f"must be at most {_MOST_PHRASES} phrases, each with a letter")
    return found
