"""The contract whose words a home's modules use."""

from argparse import Namespace

from wardround.client.commands.contract_file import read_contract_file
from wardround.client.commands.open_home import OpenHome
from wardround.protocol.contract.contract import Contract


def contract_of_home(opened: OpenHome, options: Namespace) -> Contract | None:
    """Give the contract that is named, or the one of the studies known here; None where none is known."""
    if options.contract is not None:
        return read_contract_file(options.contract)
    return opened.contract(options.terms) if options.terms is not None or opened.known() else None
