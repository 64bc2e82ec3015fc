"""Every command line that the guides, the units and our own messages spell out is one that the command takes."""

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.builders import ROOT
from wardround.client.commands.arguments import parser as hospital
from wardround.protocol.command_line.completion import Place, places
from wardround.server.commands.arguments import parser as operator

PARSERS = {"wardround-hospital": hospital, "wardround-serve": operator}
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("api", "client", "conf", "deploy", "docs", "pages", "protocol", "server", "simulations")
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
CALLED = re.compile(r"(?:^|[\s/`(])(wardround-hospital|wardround-serve) +([a-z-]+)((?:[^\S\n]+[^\s`;)]+)*)")


def blocks() -> Iterator[tuple[str, str]]:
    """Give the command lines of the guides' blocks, those of several lines joined."""
    for guide in GUIDES:
        for block in FENCED.findall(guide.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                found = re.search(r"(?:^|\s|/bin/)(wardround-(?:serve|hospital) [a-z-].*)", line)
                if found and "|" not in found[1]:  # a bar stands for a choice
                    yield guide.name, found[1]


def mentions() -> Iterator[tuple[str, str, str, str]]:
    """Give file, program, word and what follows, wherever one of the two commands is named."""
    files = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]
    for folder in FOLDERS:
        files += [
            path
            for path in sorted((ROOT / folder).rglob("*"))
            if path.suffix in (".py", ".md", ".txt", ".yaml", ".toml", ".service", ".timer", ".html", ".j2")
        ]
    for path in files:
        for program, word, rest in CALLED.findall(path.read_text(encoding="utf-8")):
            yield str(path.relative_to(ROOT)), program, word, rest


@pytest.fixture(scope="module")
def offered() -> dict[str, dict[str, Place]]:
    return {name: {place.path: place for place in places(parser())} for name, parser in PARSERS.items()}


def test_each_command_line_in_a_guides_block_is_understood() -> None:
    lines = list(blocks())
    assert len(lines) > 20
    for guide, line in lines:
        program, *words = shlex.split(line, comments=True)
        try:
            PARSERS[program]().parse_args(words)
        except Exception as error:
            raise AssertionError(f"{guide}: {line}: {error}") from error


def test_no_flag_is_named_that_its_command_does_not_have(offered: dict[str, dict[str, Place]]) -> None:
    seen = 0
    for file, program, word, rest in mentions():
        if word not in offered[program]:
            continue  # prose, as in "wardround-serve and"
        known = {
            flag
            for path, place in offered[program].items()
            if path.split()[:1] == [word]
            for flag in place.flags
        }
        for text in re.findall(r"(?<=\s)(?:--)?[a-z_-]+=|(?<=\s)--[a-z-]+", rest):
            flag = text.rstrip("=")
            assert not flag.startswith("--") or flag in known, f"{file}: {program} {word}{rest}"
            assert f"--{flag.replace('_', '-')}" not in known, (
                f"{file}: {program} {word}{rest}: the old spelling"
            )
        seen += 1
    assert seen > 50
