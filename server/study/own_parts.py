"""The operator's own models, aggregation rules and optimisers: what words in terms stand for on this machine."""

from pathlib import Path

from wardround.protocol import plugins
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.own_module import module_digest
from wardround.protocol.plugin_file import declare_plugins, read_plugins
from wardround.protocol.terms.settings import SHIPPED
from wardround.protocol.terms.terms import Terms


def declare_own_parts(home: Path) -> None:
    """Read the home's ``plugins.yaml``; ConfigurationError, one line, for whatever is wrong with it."""
    declare_plugins(read_plugins(home, SHIPPED))


def check_own_parts(terms: Terms) -> None:
    """ConfigurationError unless this machine has what the terms name, and the model as it was signed."""
    training = terms.training
    named = {"model": terms.model.kind, "aggregate": training.aggregate, "optimizer": training.optimizer}
    for role, name in named.items():
        plugins.check_known(role, name, SHIPPED[role])
    if terms.module_digest and module_digest(terms.model, terms.contract.layout) != terms.module_digest:
        raise ConfigurationError(
            f"model.kind={terms.model.kind}: is not the version that these terms were signed with; install that one, "
            "or begin a new study"
        )
