"""A second installation of Wardround: this tree with another version or protocol, in a Python of its own."""

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.builders import ROOT
from wardround.protocol.wire.speaker import PROTOCOL

FOLDERS = ("api", "client", "conf", "deploy", "pages", "protocol", "server", "simulations")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def install(folder: Path, version: str, protocol: int = PROTOCOL) -> str:
    """Build this tree's wheel under another version and number, and install it; the environment's Python.

    The environment finds all other packages where this one has them.
    """
    tree = folder / "tree"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    _change(tree / "pyproject.toml", r'(?m)^version = ".*"$', f'version = "{version}"')
    _change(tree / "protocol/wire/speaker.py", r"(?m)^PROTOCOL = \d+$", f"PROTOCOL = {protocol}")
    _run(sys.executable, "-P", "-c", BUILD, folder, at=tree)
    (wheel,) = folder.glob("*.whl")
    return environment_with(wheel, folder)


def environment_with(wheel: Path, folder: Path) -> str:
    """Install a wheel in a new environment, which finds all other packages where this one has them; its Python."""
    venv.create(folder / "env", with_pip=False)
    python = folder / "env/bin/python"
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    # A folder that a .pth names is looked into last, and its own .pth files are left alone: not the editable one there.
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--python", python)
    _run(*pip, "install", "--no-deps", "--no-index", wheel, at=folder)
    return str(python)


def _change(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text(encoding="utf-8"))
    assert count == 1, (path, pattern)
    path.write_text(text, encoding="utf-8")


def _run(*line: object, at: Path) -> None:
    done = subprocess.run(list(map(str, line)), cwd=at, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
