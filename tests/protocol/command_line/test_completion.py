"""Completion as the shells carry it out: words, flags, values, files and a study's settings, of all three commands."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from wardround.client.commands.arguments import parser as hospital
from wardround.conf.candidates import candidates
from wardround.protocol.command_line.completion import places, script
from wardround.server.commands.arguments import parser as operator

SETTINGS = candidates("serve")
PARSERS = {"wardround-hospital": hospital, "wardround-serve": operator}


@cache
def written(shell: str, program: str) -> str:
    return script(shell, program, list(places(PARSERS[program]())), SETTINGS)


def in_bash(line: str, folder: Path) -> list[str]:
    program = line.split()[0]
    name = "_" + program.replace("-", "_")
    typed = f"COMP_LINE={line!r} COMP_POINT={len(line)} COMP_WORDBREAKS=$' \\t\\n=:'"
    asked = f"{typed}\n{name}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    return answers(["bash", "--norc", "-c", f"set -u\n{written('bash', program)}\n{asked}"], folder)


def in_zsh(line: str, folder: Path) -> list[str]:
    """What is handed to compadd, which keeps what begins like the word that is typed."""
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed (scripts/install-parts.sh)")
    program, *typed = line.split(" ")
    stand_in = """
compdef() { : }
compset() { PREFIX=${current#*=} }
_message() { : }
_files() { if [[ $1 == -/ ]]; then print -l -- *(/); else print -l -- *; fi }
compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -l -- $@ }
"""
    words = " ".join(f"'{word}'" for word in (program, *typed))
    asked = f"ask() {{ local -a words=({words}); local CURRENT={len(typed) + 1}; _{program.replace('-', '_')} }}; ask"
    found = answers(["zsh", "-f", "-c", f"{stand_in}{written('zsh', program)}\n{asked}"], folder)
    word = typed[-1].partition("=")[2] if typed[-1].startswith("--") and "=" in typed[-1] else typed[-1]
    return [one for one in found if one.startswith(word)]


def answers(command: Sequence[str], folder: Path) -> list[str]:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    return sorted(line for line in ran.stdout.splitlines() if line)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "north.kit").touch()
    (tmp_path / "op").mkdir()
    return tmp_path


CASES = [
    ("wardround-serve pro", ["provision"]),
    ("wardround-serve provision --ho", ["--home", "--hospital"]),
    ("wardround-serve provision --hospital ", []),
    ("wardround-serve provision --hospital up --o", ["--out"]),
    ("wardround-serve enrol --request ", ["north.kit", "op"]),
    ("wardround-serve status --home ", ["op"]),
    ("wardround-serve status --home=", ["op"]),
    ("wardround-serve train --study spring privacy.e", ["privacy.epsilon="]),
    ("wardround-serve train privacy.epsilon=1 evaluation.ov", ["evaluation.overall_share="]),
    ("wardround-serve --completion ", ["bash", "zsh"]),
    ("wardround-hospital ledger ver", ["verify"]),
    ("wardround-hospital ledger verify --he", ["--head", "--help"]),
    ("wardround-hospital join n", ["north.kit"]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_what_bash_offers(line: str, offered: list[str], folder: Path) -> None:
    assert in_bash(line, folder) == offered


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_what_zsh_offers(line: str, offered: list[str], folder: Path) -> None:
    assert in_zsh(line, folder) == offered


def test_bash_replaces_what_stands_behind_the_last_equals_sign(folder: Path) -> None:
    assert in_bash("wardround-serve train model=", folder) == ["additive", "interactions", "mlp", "wide_deep"]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_each_command_writes_its_script(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip("zsh is not installed (scripts/install-parts.sh)")
    for program, module in (
        ("wardround-hospital", "client"),
        ("wardround-serve", "server"),
        ("wardround-simulate", "simulations"),
    ):
        ran = subprocess.run(
            [sys.executable, "-P", "-m", f"wardround.{module}.main", f"--completion={shell}"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        path = tmp_path / f"_{program}"
        path.write_text(ran.stdout)
        assert answers([shell, "-n", str(path)], tmp_path) == []
        assert program in ran.stdout.splitlines()[0]
    assert "privacy.epsilon=\n" in ran.stdout
    assert "experiment=demo\n" in ran.stdout
    assert "data.path=\n" in ran.stdout


def test_every_flag_of_every_command_is_offered() -> None:
    for program, parser in PARSERS.items():
        offered = {place.path: place for place in places(parser())}
        for word, inner in parser().words.items():
            assert set(inner.flags) == set(offered[word].flags)
            assert "--help" in inner.flags
            assert f" {word} " in f" {' '.join(offered[''].words)} ", program
