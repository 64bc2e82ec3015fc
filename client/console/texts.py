"""Texts of messages, as pages show them."""

from pathlib import Path
from typing import Any

from wardround.client.commands.open_home import open_home
from wardround.client.home.home import CONTENT
from wardround.client.outreach.content.folder import read_folder
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.content.standing_today import standings_today
from wardround.client.policy.people_file import people_of


def texts_of(home: Path) -> list[dict[str, Any]]:
    """List every module with its text, and whether it may be sent today."""
    if not (home / CONTENT).is_dir():
        return []
    with open_home(home) as opened:
        content = read_folder(opened.home.content_folder)
        people = people_of(home, opened.home.timezone)
        standing = standings_today(opened.home, content, people, opened.now)
    return [
        {**text_of_module(module), "topic": module.topic, "channel": module.channel, "author": module.author,
         "state": standing[module.name].state}
        for module in content.modules
    ]  # fmt: skip


def text_of_module(module: Module) -> dict[str, Any]:
    """Give a module's name, language, subject and lines."""
    return {
        "name": module.name,
        "language": module.language,
        "subject": module.subject,
        "lines": module.text.split("\n"),
    }
