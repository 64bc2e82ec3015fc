"""Who decides, about messages and in the hospital's pages: the people whom it enrolled in ``people.yaml``.

    people:
      grace:                           # the account: what --person takes, as the name does
        name: Grace Hopper             # as decisions keep it
        roles: [clinician, approver]
      ada:
        name: Ada Byron
        also: [Ada King]               # how older decisions and modules name the same person
        roles: [communications]
        left: 2026-11-30               # from this day on she decides nothing, and nothing that she signed then counts

Guarantee (test_people.py): whoever decides is one account, however they spell themselves, so that one person never
counts as two. Two accounts whose names could be one person's are refused until somebody says that they are two
(``distinct_from``); so are two whose names nobody can compare, as Мария Иванова and Maria Ivanova, until one of them is
spelt in the other's alphabet too (``also``). What somebody signed counts while they are enrolled, and if it was signed
before they left: who is deleted here has signed nothing.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from itertools import combinations, product
from zoneinfo import ZoneInfo

from wardround.client.policy.likeness import comparable, could_be_one, has_letters
from wardround.protocol.characters import has_word_of_two_alphabets
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.nearest import did_you_mean
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section, shown
from wardround.protocol.text.text import ALLOWED_IN_NAMES, is_name

PEOPLE = "people.yaml"
CLINICIAN, COMMUNICATIONS, APPROVER = "clinician", "communications", "approver"
PRIVACY, IT = "privacy", "it"
ROLES = (CLINICIAN, COMMUNICATIONS, APPROVER, PRIVACY, IT)
DECIDING = (CLINICIAN, COMMUNICATIONS)
"""Roles that decide about messages; an approver decides about texts. Privacy and IT are roles of the pages alone."""
MOST_PEOPLE = 300
_MOST_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person. account: of ASCII; also: other spellings. roles: of ``ROLES``; without any they only write texts.

    left: in the hospital's calendar, the first day that is not theirs any more.
    """

    account: str
    name: str
    also: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    distinct_from: tuple[str, ...] = ()
    left: date | None = None

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every way in which the person may be named."""
        return (self.account, self.name, *self.also)


@dataclass(frozen=True)
class People:
    """Everybody who is enrolled, by account, those who left too. None is enrolled where there is no file.

    timezone: the hospital's, for the day of a signature. by_name: whether who has no password signs by name alone;
    None where the file does not say.
    """

    by_account: Mapping[str, Person] = field(default_factory=dict)
    timezone: str = "UTC"
    by_name: bool | None = None

    def signer(self, text: str, at: datetime) -> Person | None:
        """Give who signed by this name at a time; None where it counts for nothing."""
        found = self.find(text)
        day = at.astimezone(ZoneInfo(self.timezone)).date()
        return found if found is not None and (found.left is None or day < found.left) else None

    def find(self, text: str) -> Person | None:
        """Give the person of this account, name or other spelling; None for anybody else."""
        return self._by_spelling.get(_plain(text))

    def known(self, text: str) -> Person:
        """Give the person, who has not left; ConfigurationError lists who is enrolled."""
        found = self.find(text)
        if not self.by_account:
            raise ConfigurationError(
                f"person={shown(text)}: {PEOPLE} names nobody; begin it with: wardround-hospital people begin"
            )
        if found is None:
            raise ConfigurationError(
                f"person={shown(text)}: is not in {PEOPLE}; {self._nearest(text)}give --person with an account or a "
                f"name that stands there: {self._listed(self._there())}"
            )
        if found.left is not None:
            raise ConfigurationError(
                f"person={found.name}: left on {found.left}, by {PEOPLE}; there are: {self._listed(self._there())}"
            )
        return found

    def with_role(self, *roles: str) -> tuple[Person, ...]:
        """Give everybody who has one of these roles, and has not left."""
        return tuple(one for one in self._there() if set(one.roles) & set(roles))

    def acting(self, text: str, *roles: str) -> Person:
        """Give the person who acts in one of these roles; ConfigurationError where they have none of them."""
        found = self.known(text)
        if not set(found.roles) & set(roles):
            raise ConfigurationError(
                f"person={found.name}: is no {' or '.join(roles)} by {PEOPLE}; there are: "
                f"{self._listed(self.with_role(*roles))}"
            )
        return found

    @cached_property
    def _by_spelling(self) -> Mapping[str, Person]:
        return {_plain(name): one for one in self.by_account.values() for name in one.spellings}

    def _there(self) -> tuple[Person, ...]:
        return tuple(one for one in self.by_account.values() if one.left is None)

    def _listed(self, people: Iterable[Person]) -> str:
        names = sorted(f"{one.account} ({one.name})" for one in people)
        more = f", and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
        return ", ".join(names[:_MOST_LISTED]) + more if names else "nobody"

    def _nearest(self, text: str) -> str:
        return did_you_mean(text, [name for one in self._there() for name in one.spellings])


def read_people(content: bytes, timezone: str = "UTC") -> People:
    """Read the file's bytes; ConfigurationError names what is wrong, or who could be one person."""
    top = Section(read_yaml(content, PEOPLE, LARGEST_YAML), PEOPLE)
    section = top.section("people", {})
    by_name = top.boolean("by_name", False) if top.has("by_name") else None
    top.finish()
    accounts = section.keys()
    if len(accounts) > MOST_PEOPLE:
        raise ConfigurationError(f"{PEOPLE}: {len(accounts)} people, at most {MOST_PEOPLE}")
    people = {account: _person(account, section) for account in accounts}
    faults = list(_doubles(people))
    if faults:
        raise ConfigurationError("; ".join(faults))
    return People(people, timezone, by_name)


def _person(account: str, section: Section) -> Person:
    if not is_name(account):
        raise section.fail(account, f"the account {ALLOWED_IN_NAMES}")
    part = section.section(account)
    found = Person(
        account=account,
        name=part.text("name"),
        also=part.texts("also", ()),
        roles=part.texts("roles", ()),
        distinct_from=part.texts("distinct_from", ()),
        left=_day(part),
    )
    part.finish()
    if not set(found.roles) <= set(ROLES):
        raise part.fail("roles", f"must be some of {', '.join(ROLES)}")
    for name in (found.name, *found.also):
        if not has_letters(name) or has_word_of_two_alphabets(name):
            raise part.fail(
                "name", "must be a person's name, each word of it in one alphabet (also: the same)"
            )
    return found


def _day(part: Section) -> date | None:
    text = part.text("left", "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise part.fail("left", "must be a date, as in 2026-11-30") from error


def _doubles(people: Mapping[str, Person]) -> Iterator[str]:
    """Name accounts that could be one person's."""
    for one in people.values():
        for named in sorted(set(one.distinct_from) - (people.keys() - {one.account})):
            yield f"{PEOPLE}.people.{one.account}.distinct_from={shown(named)}: is no other account"
    for one, other in combinations(people.values(), 2):
        pair = f"{PEOPLE}: {one.account} ({one.name}) and {other.account} ({other.name})"
        if set(map(_plain, one.spellings)) & set(map(_plain, other.spellings)):
            yield f"{pair} have a name in common; write more of each name, as in 'John Smith (ward 3)'"
        elif not _said_distinct(one, other) and (why := _alike(one, other)):
            yield (
                f"{pair} {why}: keep one of them, or, where they are two, write "
                f"distinct_from: [{other.account}] under {one.account}"
            )


def _said_distinct(one: Person, other: Person) -> bool:
    return other.account in one.distinct_from or one.account in other.distinct_from


def _alike(one: Person, other: Person) -> str:
    """Say why two accounts could be one person's; empty where their names tell them apart."""
    # Accounts are short, and the hospital's own scheme: only names are compared by how they look.
    pairs = list(product((one.name, *one.also), (other.name, *other.also)))
    if any(could_be_one(a, b) for a, b in pairs):
        return "could be one person"
    if not any(comparable(a, b) for a, b in pairs):
        return "could be one person, in two alphabets: write one of the names in the other's too, under also"
    return ""


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
