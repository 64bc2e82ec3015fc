"""Installing: from the lock alone, and an exchanged file is not installed."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.builders import ROOT

FAKE = '#!/bin/sh\necho "$@" >> "$0.calls"\nexit ${FAIL:-0}\n'


def install(project: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [project / "scripts/install.sh", *words],
        capture_output=True, text=True, check=False, env={**os.environ, **more}, timeout=300,
    )  # fmt: skip


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """An environment whose Python writes down what it is called with."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text(FAKE)
    (tmp_path / "bin/python").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    "words", [["hospital"], ["hospital", "postgresql"], ["server"], ["everything", "--editable"]]
)
def test_nothing_is_installed_without_its_hash(fake: Path, words: list[str]) -> None:
    assert install(ROOT, str(fake), *words).returncode == 0
    calls = [line for line in (fake / "bin/python.calls").read_text().splitlines() if "pip install" in line]
    *packages, own = calls
    assert len(packages) == 3
    assert all("--require-hashes -r locks/" in call or "--require-hashes --no-" in call for call in packages)
    assert all(
        re.fullmatch(r"locks/\w+\.txt|constraints\.txt", name.strip())
        for call in packages
        for name in call.split("-r ")[1:]
    )
    assert "--no-deps --no-build-isolation" in own
    assert own.endswith("--editable ." if "--editable" in words else "--no-build-isolation .")


def test_packages_alone_are_those_that_come_before_wardround_itself(fake: Path) -> None:
    calls = fake / "bin/python.calls"
    assert install(ROOT, str(fake), "server").returncode == 0
    whole = calls.read_text().splitlines()
    calls.unlink()
    assert install(ROOT, str(fake), "server", "--packages").returncode == 0
    packages = calls.read_text().splitlines()
    assert whole[: len(packages)] == packages
    assert [line for line in whole[len(packages) :] if "pip install" in line] == [
        "-m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation ."
    ]


def test_a_failure_ends_it(fake: Path) -> None:
    assert install(ROOT, str(fake), "server", FAIL="1").returncode != 0
    calls = (fake / "bin/python.calls").read_text()
    assert "-r locks/cuda.txt" in calls  # without a build for the CPU, the index's build and its parts
    assert "server.txt" not in calls
    assert "--no-deps --no-build-isolation" not in calls


@pytest.mark.parametrize("words", [[], ["{}"], ["{}", "nurse"], ["{}/none", "hospital"]])
def test_a_wrong_word_is_one_answer_and_installs_nothing(fake: Path, words: list[str]) -> None:
    said = install(ROOT, *(word.format(fake) for word in words))
    assert said.returncode != 0
    assert said.stderr
    assert not (fake / "bin/python.calls").exists()


def test_no_page_and_no_message_installs_by_another_way() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    places = [ROOT / name for name in tracked.splitlines() if not name.startswith("tests/")]
    found = [
        f"{path.name}: {line}"
        for path in places
        if path.is_file() and path.suffix in (".py", ".md", ".sh", ".service", ".yaml", ".txt", "")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"(?<!-)\b(pip3?|uv|pipx|conda|npm)[\"', -]+(m +)?(install|download|add)\b", line)
    ]
    # The first installs podman-compose alone, by hashes too.
    # The last: the benchmark's other system, in an environment of its own, by hand (SECURITY.md names it).
    # uv installs nothing: it asks for hashed wheels under other Pythons.
    assert found == [
        "install.md: /opt/compose/bin/pip install -q --require-hashes -r deploy/containers/compose.txt",
        'install.sh:     "$python" -m pip install -qq --disable-pip-version-check "$@"',
        'lock.py:                 sys.executable, "-m", "uv", "pip", "install", "-q", "--dry-run", '
        '"--no-config", "--no-deps",',
        'others.py:         [str(python), "-m", "pip", "install", "-qq", *PFL],',
    ]


def wheel(folder: Path, content: str) -> str:
    """Make a wheel of one module; its hash."""
    path = folder / "small-1.0-py3-none-any.whl"
    parts = {
        "small.py": content,
        "small-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n",
        "small-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "small-1.0.dist-info/RECORD": "small.py,,\nsmall-1.0.dist-info/RECORD,,\n",
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, text in parts.items():
            file.writestr(zipfile.ZipInfo(name), text)  # of no time, so that its hash stays
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_an_exchanged_wheel_is_not_installed(tmp_path: Path) -> None:
    project, shelf, environment = tmp_path / "project", tmp_path / "shelf", tmp_path / "environment"
    for folder in (project / "scripts", project / "locks", shelf):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "scripts/install.sh", project / "scripts")
    honest = wheel(shelf, "WORD = 'honest'\n")
    for name in ("locks/cpu.txt", "locks/cuda.txt", "locks/server.txt"):
        (project / name).write_text("")
    (project / "locks/hospital.txt").write_text(f"--only-binary :all:\nsmall==1.0 --hash=sha256:{honest}\n")
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    shelves = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shelf), "PIP_CONFIG_FILE": os.devnull}
    wheel(shelf, "WORD = 'exchanged'\n")
    said = install(project, str(environment), "hospital", **shelves)
    assert said.returncode != 0
    assert "DO NOT MATCH THE HASHES" in said.stderr
    assert not list(environment.glob("lib/*/site-packages/small*"))
    wheel(shelf, "WORD = 'honest'\n")
    install(project, str(environment), "hospital", **shelves)
    assert [path.read_text() for path in environment.glob("lib/*/site-packages/small.py")] == [
        "WORD = 'honest'\n"
    ]
