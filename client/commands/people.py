"""``people``: who decides about messages, and who writes their texts. The rules are in ``client.policy.people``."""

from argparse import Namespace

from wardround.client.commands.terminal import say, table
from wardround.client.home.home import load_home
from wardround.client.policy.people import PEOPLE, Person
from wardround.client.policy.people_file import begin_people, people_of
from wardround.protocol.text.say import say_json


def run(options: Namespace) -> None:
    """Write the commented file, or show who is enrolled; ConfigurationError where two could be one person."""
    _ACTIONS[options.action](options)


def _begin(options: Namespace) -> None:
    path = begin_people(load_home(options.home).folder)
    if options.json:
        say_json({"written": [str(path)]})
        return
    say(f"Written: {path}", "It names nobody yet. Edit it, then: wardround-hospital people list")


def _list(options: Namespace) -> None:
    people = people_of(load_home(options.home).folder).by_account.values()
    if options.json:
        say_json({one.account: _plain(one) for one in people})
        return
    rows = [(one.account, one.name, _roles(one), ", ".join(one.also)) for one in people]
    table(
        "Who decides about messages", ("account", "name", "roles", "also known as"), rows, fixed=("account",)
    )
    if not people:
        say(f"Nobody is in {PEOPLE}: nobody decides, and nothing is sent.")


def _plain(person: Person) -> dict[str, object]:
    left = None if person.left is None else person.left.isoformat()
    return {"name": person.name, "also": person.also, "roles": person.roles, "left": left}


def _roles(person: Person) -> str:
    roles = ", ".join(person.roles) or "writes texts"
    return roles if person.left is None else f"left on {person.left} ({roles})"


_ACTIONS = {"begin": _begin, "list": _list}
