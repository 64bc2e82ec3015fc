"""What a new operator cannot know: whether this ledger is the newest. A person can, and is asked.

An operator who ever had a release notices an old copy by the head that it holds. At another operator's first
study nobody holds one, so the person who approves looks at the last entry and answers for it.
"""

from dataclasses import dataclass

from wardround.client.commands.ledger import describe
from wardround.client.commands.open_home import OpenHome
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.terms import ACCOUNTS


@dataclass(frozen=True)
class LastEntry:
    """The ledger's last entry that is no refusal, in words, and what all studies have spent."""

    number: int
    text: str


def last_entry(opened: OpenHome) -> LastEntry:
    """Say which entry is the last, when it was written, and the ε of both accounts for life."""
    entry = [entry for entry in opened.ledger.entries() if entry.kind != "refused"][-1]
    spent = [
        f"{opened.ledger.spent(one, opened.policy.delta):.4g} of {one.replace('_', '-')}" for one in ACCOUNTS
    ]
    text = f"number {entry.sequence}, of {entry.time:%Y-%m-%d %H:%M} UTC ({entry.kind}: {describe(entry)})"
    return LastEntry(entry.sequence, f"{text}; spent for life: ε = {' and '.join(spent)} patients")


def require_seen(operator: str, seen: LastEntry, given: int | None) -> None:
    """Refuse a yes that was given in advance without naming the entry that a person would see."""
    if given != seen.number:
        raise ConfigurationError(
            f"approve: {operator} has never had a release from here, so it could not notice an old copy of this "
            f"ledger; its last entry is {seen.text}; if that is the newest, add --last-entry {seen.number} to --yes"
        )
