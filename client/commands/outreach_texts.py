"""Texts of modules, as a person reads them before a decision."""

from collections.abc import Sequence

from wardround.client.commands.terminal import say
from wardround.client.outreach.content.module import Module


def show_texts(modules: Sequence[Module]) -> None:
    """Write each text whole."""
    for module in modules:
        say("", f"[{module.name}] {module.subject}".rstrip(), *module.text.split("\n"))
