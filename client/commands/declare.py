"""``declare``: print the rounded number of patients that the operator may know. The exact count is never shown here."""

from argparse import Namespace
from pathlib import Path

from wardround.client.commands.contract_file import read_contract_file
from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.terminal import say
from wardround.client.connectors.source import read_tables
from wardround.client.gate.admit import admit
from wardround.client.policy.declared import declared_number, one_digit_of, tipping_chance
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say_json


def run(options: Namespace) -> None:
    """Suggest a number, or take the person's own; whatever is printed may be mailed as it stands."""
    with open_home(options.home) as opened:
        hospital, own = opened.home.hospital, options.patients
        number = _suggested(opened, options) if own is None else _checked(own)
    if options.json:
        say_json({"hospital": hospital, "declared": number})
        return
    say("Training patients, as this hospital declares them:", "", f"  {hospital}: {number}", "")
    if own is None:
        chance = tipping_chance(number)
        say(
            "It is rounded to one digit, up from a place that only this hospital's key knows: with a chance of at most "
            f"{chance:.2g} one patient more or less would have made it another. It is not protected as sums are, and "
            "becomes public in the terms. To declare a coarser or an older number instead, use declare --patients N."
        )
    say("Send the operator this line, with the request to join; it goes into training.public_patients.")


def _suggested(opened: OpenHome, options: Namespace) -> int:
    """Count the training patients who pass the gate under the contract, and round."""
    file: Path | None = options.contract
    contract = opened.contract(options.terms) if file is None else read_contract_file(file)
    tables, key = read_tables(opened.home.source, contract), opened.home.patients_key
    return declared_number(admit(tables, contract, key, opened.now).counts["training patients"], key)


def _checked(number: int) -> int:
    """Take a number that a person typed, where it has one digit."""
    if number < 1 or number != one_digit_of(number):
        raise ConfigurationError(
            f"patients={number}: must be at least 1, with one digit followed by zeros; declare {one_digit_of(number)}"
        )
    return number
