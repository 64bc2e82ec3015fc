"""The lock: complete for every role, hashed throughout, and what is installed here is what it says."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.lock import (
    CPU,
    CUDA,
    EVERYTHING,
    PYTHONS,
    ROLES,
    ROOT,
    SOURCE_ONLY,
    Locked,
    included,
    locked,
    published,
    read,
    resolved,
    written,
)  # fmt: skip

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
LOCK = locked()
ALL = {file: {*LOCK[file], *included(file, {name: set(own) for name, own in LOCK.items()})} for file in ROLES}
ROLE = pytest.mark.parametrize("file", ROLES)


def roots(file: str) -> list[Requirement]:
    """What pyproject.toml asks for in this role."""
    extras = [line for extra in ROLES[file][0] for line in PROJECT["optional-dependencies"][extra]]
    return [Requirement(line) for line in (*PROJECT["dependencies"], *extras)]


def needed(requirements: list[Requirement]) -> Iterator[Requirement]:
    """Follow the requirements of what is installed here, to the end."""
    asked, seen = list(requirements), set()
    while asked:
        requirement = asked.pop()
        wanted = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if wanted in seen:
            continue
        seen.add(wanted)
        yield requirement
        for line in distribution(requirement.name).requires or ():
            further = Requirement(line)
            extras = requirement.extras or {""}
            if further.marker is None or any(further.marker.evaluate({"extra": one}) for one in extras):
                asked.append(further)


@ROLE
def test_a_role_holds_all_that_it_needs_in_the_versions_that_are_installed_here(file: str) -> None:
    versions = {package.name: package.version for package in ALL[file]}
    for requirement in needed(roots(file)):
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{file} lacks {requirement}: make lock"
        assert requirement.specifier.contains(versions[name], prereleases=True), requirement
        assert distribution(name).version.removesuffix("+cpu") == versions[name]


def test_every_package_has_one_version_and_hashes() -> None:
    packages = [package for own in LOCK.values() for package in own]
    assert len(packages) > 130
    assert [package.name for package in packages if not package.hashes] == []
    versions = {(package.name, package.version.removesuffix("+cpu")) for package in packages}
    assert len(versions) == len({name for name, _ in versions})


def test_the_pythons_that_are_claimed_are_those_whose_wheels_the_lock_was_checked_for() -> None:
    prefix = "Programming Language :: Python :: 3."
    claimed = [line.removeprefix(prefix[:-2]) for line in PROJECT["classifiers"] if line.startswith(prefix)]
    assert claimed == list(PYTHONS)
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"


def test_what_builds_is_locked_too() -> None:
    (build,) = map(Requirement, PYPROJECT["build-system"]["requires"])
    versions = {package.name: package.version for package in LOCK["locks/hospital.txt"]}
    assert str(build.specifier) == f"=={versions[build.name]}"


def test_a_hospital_gets_wheels_alone_and_nothing_that_simulates_or_plots() -> None:
    text = (ROOT / "locks/hospital.txt").read_text(encoding="utf-8")
    assert "\n--only-binary :all:\n" in text
    assert "--no-binary" not in text
    names = {package.name for package in ALL["locks/hospital.txt"]}
    assert not names & {"hydra-core", "ray", "matplotlib", "scikit-learn", "fairlearn", "pytest", SOURCE_ONLY}


def test_one_source_is_built_and_no_other() -> None:
    options = [line for path in ROOT.glob("locks/*.txt") for line in path.read_text().splitlines()]
    assert [line for line in options if line.startswith("--no-binary")] == [f"--no-binary {SOURCE_ONLY}"]
    assert "--no-binary" not in (ROOT / EVERYTHING).read_text(encoding="utf-8")
    # In a file that includes others :all: would take the exception back.
    assert {path for path in ROOT.glob("locks/*.txt") if "\n--only-binary" in path.read_text()} == {
        ROOT / name for name in ("locks/hospital.txt", CPU, CUDA)
    }


@pytest.mark.parametrize("file", [*ROLES, CPU, CUDA])
def test_a_file_is_as_it_would_be_written_and_names_no_place(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert written(file, LOCK[file]) == text
    assert not re.search(r"://|@|index|find-links|(?<![\w.])/", text.partition("\n")[2])


def test_the_build_for_the_cpu_stands_in_the_place_of_the_locked_one() -> None:
    (cpu,) = LOCK[CPU]
    assert f"{cpu.name}=={cpu.version}" == "torch==2.13.0+cpu"
    assert cpu.version.removesuffix("+cpu") in {
        p.version for p in LOCK["locks/hospital.txt"] if p.name == "torch"
    }


def test_a_line_that_is_none_of_a_lock_is_refused(tmp_path: Path) -> None:
    for line in ("numpy", "numpy>=2", "numpy==2 --hash=md5:1", "-e .", "    --hash=sha256:00"):
        (tmp_path / "lock.txt").write_text(f"{line}\n")
        with pytest.raises(ValueError, match="not a line of a lock"):
            read(tmp_path / "lock.txt")


def test_hashes_are_those_of_the_wheels_and_of_the_source_only_without_one() -> None:
    hashes = published(
        '[[packages]]\nname = "a"\nversion = "1"\nsdist = {hashes = {sha256 = "s"}}\n'
        'wheels = [{hashes = {sha256 = "w2"}}, {hashes = {sha256 = "w1"}}]\n'
        '[[packages]]\nname = "b"\nversion = "2"\nsdist = {hashes = {sha256 = "t"}}\n'
    )
    assert hashes == {"a==1": ("w1", "w2"), "b==2": ("t",)}
    assert resolved("a==1 ; sys_platform == 'linux'\nb==2\n", hashes) == {
        Locked(name="a", version="1", marker="sys_platform == 'linux'", hashes=("w1", "w2")),
        Locked(name="b", version="2", marker="", hashes=("t",)),
    }
