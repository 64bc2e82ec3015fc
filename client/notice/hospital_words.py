"""How this hospital wants things to be called on the pages for its patients: HOME/notice.yaml, which may be left out.

name: Hospital of the North         # for patients
contact: privacy office, 555 0100   # whom they ask
operators: {consortium: "Northern Health Consortium"}   # who proposes studies: the policy's name, and the real one
about: appointments                 # what studies learn about: messages (if it is left out) or appointments
units: {age: years}                 # of the contract's features that are numbers
topics: {appointment_reminder: {en: your appointments, es: sus citas}}   # of messages, by language
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section

NOTICE = "notice.yaml"
ABOUT = ("messages", "appointments")


@dataclass(frozen=True, kw_only=True)
class HospitalWords:
    """The file. name, contact: empty where it does not say; topics: topic → language → words."""

    name: str = ""
    contact: str = ""
    operators: Mapping[str, str] = field(default_factory=dict)
    about: str = ABOUT[0]
    units: Mapping[str, str] = field(default_factory=dict)
    topics: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def hospital_words(home: Path) -> HospitalWords:
    """Read a home's file; without one, nothing is called otherwise. ConfigurationError names key and value."""
    try:
        content = read_bounded(home / NOTICE, LARGEST_YAML)
    except FileNotFoundError:
        return HospitalWords()
    except OSError as error:
        raise ConfigurationError(f"{NOTICE}={home / NOTICE}: cannot be read ({error.strerror})") from error
    section = Section(read_yaml(content, NOTICE), NOTICE)
    topics = section.section("topics", {})
    words = HospitalWords(
        name=section.text("name", ""),
        contact=section.text("contact", ""),
        operators=_texts(section.section("operators", {})),
        about=section.choice("about", ABOUT, ABOUT[0]),
        units=_texts(section.section("units", {})),
        topics={topic: _texts(topics.section(topic)) for topic in sorted(topics.keys())},
    )
    section.finish()
    return words


def _texts(part: Section) -> Mapping[str, str]:
    return {key: part.text(key) for key in sorted(part.keys())}
