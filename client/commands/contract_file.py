"""A contract that a command is given as a file."""

from pathlib import Path

from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml


def read_contract_file(path: Path) -> Contract:
    """Read a contract's YAML; one line of ConfigurationError or ContractError for whatever is wrong with it."""
    try:
        content = read_bounded(path, LARGEST_YAML)
    except OSError as error:
        raise ConfigurationError(f"contract={path}: cannot be read ({error.strerror})") from error
    return contract_from_mapping(read_yaml(content, "contract"))
