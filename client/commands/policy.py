"""``policy``: the limits in force, and a signed extract of them for operators, where the hospital wants that."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import fields

from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.terminal import say, table
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.limits import Limits
from wardround.protocol.text.say import say_json
from wardround.protocol.wire.published_policy import publish_policy
from wardround.protocol.wire.signed_file import save_signed


def run(options: Namespace) -> None:
    """Show what an extract would hold; with ``--publish FILE``, write it. Nothing is sent anywhere."""
    with open_home(options.home) as opened:
        if opened.home.simulation is not None:
            raise ConfigurationError(
                "policy: a simulated hospital allows every simulation; there is nothing to publish"
            )
        published = publish_policy(opened.home.hospital, opened.policy, opened.now, opened.home.key)
        names = _contract_names(opened)
    if options.publish is not None:
        save_signed(published, options.publish)
    rows = [(one.name, _shown(getattr(published.limits, one.name))) for one in fields(Limits)]
    if options.json:
        say_json({"hospital": published.hospital, "published": str(options.publish or ""), **dict(rows)})
        return
    named = [(name, _named(value, names) if name == "contracts" else value) for name, value in rows]
    table(f"Limits of {published.hospital} (policy.yaml)", ("limit", "value"), named)
    if options.publish is None:
        say("Operators do not see this. To show it to one before a study: policy --publish FILE")
    else:
        say(f"Written to {options.publish}, signed; send it to the operator if you wish.")
    say("Not in it: who may propose studies, who approves, how many patients there are, and what was spent.")


def _contract_names(opened: OpenHome) -> dict[str, str]:
    """Name and version by fingerprint, of the contracts whose terms are known here."""
    contracts = [signed.terms.contract for signed in opened.known()]
    return {contract.fingerprint: f"{contract.name} {contract.version}" for contract in contracts}


def _named(value: str, names: Mapping[str, str]) -> str:
    """Put each contract's name beside its fingerprint, which alone allows it."""
    listed = value.split(", ")
    return ", ".join(f"{one} ({names.get(one, 'no terms here')})" if one != "none" else one for one in listed)


def _shown(value: object) -> str:
    return ", ".join(value) or "none" if isinstance(value, tuple) else str(value)
