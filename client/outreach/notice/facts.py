"""The settings that the page is built from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from wardround.client.notice.words import plain
from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.measure.protocol_file import SignedProtocol
from wardround.client.outreach.triggers.settings import OutreachSettings
from wardround.client.policy.outreach import OutreachPolicy
from wardround.client.policy.people import People


@dataclass(frozen=True, kw_only=True)
class OutreachFacts:
    """What holds today.

    modules: all of the folder. purposes: of the contracts that may learn today. preferences: whether the hospital's
    mapping names such a table. page: whether messages have a link to the patients' page. protocol: the one that holds
    patients in arms today. topics: topic → language → words.
    """

    hospital: str
    contact: str
    today: date
    settings: OutreachSettings
    policy: OutreachPolicy
    people: People
    guidelines: Guidelines
    modules: Sequence[Module]
    purposes: tuple[str, ...] = ()
    preferences: bool = False
    page: bool = False
    protocol: SignedProtocol | None = None
    topics: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    digest: str = ""

    @property
    def sent(self) -> tuple[Module, ...]:
        """The modules that a trigger may send to patients."""
        ids = {
            one for trigger in self.settings.triggers if trigger.to == "patient" for one in trigger.modules
        }
        return tuple(module for module in self.modules if module.id in ids)

    def topic(self, topic: str, language: str) -> str:
        """Name a topic in the hospital's words, else as the contract does."""
        return self.topics.get(topic, {}).get(language, plain(topic))
