"""The lock: for each role, every package that it installs, with the hashes of all wheels that were published.

``make lock`` resolves pyproject.toml for every platform and Python at once (uv does), through the package index
that is set up here, and keeps the versions that stand in the lock. ``make lock RENEW="numpy scipy"`` lets these
go to the newest that fit, ``RENEW=all`` all of them. No file of the lock is edited by hand, and no other pins.

A role's file holds what it adds to the files that it includes, so that no hash stands twice without need.
"""

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
EVERYTHING = "constraints.txt"
# A role's file: the extras that it installs, and the roles that it includes.
ROLES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "locks/hospital.txt": ((), ()),
    "locks/postgresql.txt": (("postgresql",), ("locks/hospital.txt",)),
    "locks/odbc.txt": (("odbc",), ("locks/hospital.txt",)),
    "locks/alerts.txt": (("alerts",), ("locks/hospital.txt",)),
    "locks/server.txt": (("server",), ("locks/hospital.txt",)),
    "locks/simulation.txt": (("server", "simulation"), ("locks/server.txt",)),
    "locks/trackers.txt": (("server", "simulation", "trackers"), ("locks/simulation.txt",)),
    EVERYTHING: (
        ("postgresql", "odbc", "alerts", "server", "simulation", "trackers", "dev"),
        ("locks/postgresql.txt", "locks/odbc.txt", "locks/alerts.txt", "locks/trackers.txt"),
    ),
}
# What PyTorch needs where the index's build for Linux is taken, which is one for CUDA: gigabytes that no CPU uses.
CUDA = "locks/cuda.txt"
CUDA_NAME = re.compile(r"(cuda|nvidia)-.*|triton")
# PyTorch's own build for the CPU, which stands beside the index. By the release whose place it takes; a file of its
# own, since pip prefers what the index knows a hash of.
CPU = "locks/cpu.txt"
CPU_BUILDS = {
    "torch==2.13.0": {  # torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl
        "python_version == '3.11' and sys_platform == 'linux' and platform_machine == 'x86_64'": (
            "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
        ),
    },
}
# What the classifiers in pyproject.toml claim: every package of the lock has a wheel for each of these.
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
# Hydra needs omegaconf, and that the parser of ANTLR 4.9, of which nobody published a wheel: built from its source.
SOURCE_ONLY = "antlr4-python3-runtime"
HEAD = "# Written by `make lock`, installed by scripts/install.sh; see SECURITY.md. Not edited by hand.\n"
PACKAGE = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+?))?(?: \\)?")
HASH = re.compile(r" {4}--hash=sha256:([0-9a-f]{64})(?: \\)?")


@dataclass(frozen=True, kw_only=True, order=True)
class Locked:
    """One package. marker: where it is installed (empty: everywhere); hashes: SHA-256 of its files, sorted."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def read(path: Path) -> list[Locked]:
    """Read one role's file, without those that it includes. ValueError names a line that is none of a lock."""
    found: list[tuple[dict[str, str], list[str]]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(("#", "-r ", "--only-binary ", "--no-binary ")):
            continue
        if package := PACKAGE.fullmatch(line):
            found.append((package.groupdict(default=""), []))
        elif (hashed := HASH.fullmatch(line)) and found:
            found[-1][1].append(hashed[1])
        else:
            raise ValueError(f"{path}: not a line of a lock: {line}")
    return [Locked(**package, hashes=tuple(hashes)) for package, hashes in found]


def locked(root: Path = ROOT) -> dict[str, list[Locked]]:
    """Read the whole lock: by file, what it adds."""
    return {name: read(root / name) for name in (*ROLES, CPU, CUDA) if (root / name).exists()}


def resolve(extras: Iterable[str], pins: Iterable[str], *options: str) -> str:
    """Let uv resolve the project with these extras; ``pins`` are versions to keep."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    with TemporaryDirectory() as folder:
        kept, tools = Path(folder, "kept.txt"), Path(folder, "tools.in")
        kept.write_text("\n".join(pins), encoding="utf-8")
        tools.write_text("\n".join(build), encoding="utf-8")
        line = [
            sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", str(tools), "-q", "--universal",
            "--python-version", "3.11", "--no-header", "--no-annotate", "--no-config",
            "--only-binary", ":all:", "--no-binary", SOURCE_ONLY, "-c", str(kept), *options,
        ]  # fmt: skip
        wanted = [option for extra in extras for option in ("--extra", extra)]
        done = subprocess.run([*line, *wanted], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return done.stdout


def published(pylock: str) -> dict[str, tuple[str, ...]]:
    """Read the hashes of each release's wheels from a pylock.toml (of its source where there are none)."""
    hashes = {}
    for package in tomllib.loads(pylock)["packages"]:
        release = f"{package['name']}=={package['version']}"
        files: list[dict[str, Any]] = package.get("wheels") or [package["sdist"]]
        hashes[release] = tuple(sorted(file["hashes"]["sha256"] for file in files))
    return hashes


def resolved(text: str, hashes: Mapping[str, tuple[str, ...]]) -> set[Locked]:
    """Read what uv resolved, one requirement a line, and put each release's hashes to it."""
    packages = [PACKAGE.fullmatch(line) for line in text.splitlines()]
    groups = [package.groupdict(default="") for package in packages if package]
    return {Locked(**group, hashes=hashes[f"{group['name']}=={group['version']}"]) for group in groups}


def included(file: str, found: Mapping[str, set[Locked]]) -> set[Locked]:
    """Give all that the files included by this one install."""
    others = ROLES[file][1]
    return set().union(*(found[other] | included(other, found) for other in others))


def written(file: str, packages: Iterable[Locked]) -> str:
    """Give the text of one file of the lock."""
    folder = os.path.dirname(file) or "."  # noqa: PTH120  (a name within the project)
    lines = [f"-r {os.path.relpath(other, folder)}" for other in ROLES.get(file, ((), ()))[1]]
    # pip forgets exceptions where it reads :all: once more, so only files that include none say it.
    lines = lines or ["--only-binary :all:"]
    ordered = sorted(packages)
    lines += [f"--no-binary {package.name}" for package in ordered if package.name == SOURCE_ONLY]
    for package in ordered:
        marker = f" ; {package.marker}" if package.marker else ""
        hashes = [f"    --hash=sha256:{one}" for one in package.hashes]
        lines.append(" \\\n".join([f"{package.name}=={package.version}{marker}", *hashes]))
    return HEAD + "\n".join(lines) + "\n"


def kept(renew: Iterable[str]) -> list[str]:
    """Give the versions of the present lock that are not to be renewed."""
    names = set(renew)
    releases = {(one.name, one.version) for one in chain(*locked().values()) if "+" not in one.version}
    return sorted(f"{name}=={version}" for name, version in releases if not names & {name, "all"})


def cpu_builds(releases: Iterable[str]) -> set[Locked]:
    """Give the builds for the CPU of these releases."""
    return {
        Locked(
            name=release.partition("==")[0],
            version=f"{release.partition('==')[2]}+cpu",
            marker=marker,
            hashes=(one,),
        )
        for release in releases
        for marker, one in CPU_BUILDS.get(release, {}).items()
    }


def check_pythons(file: Path) -> None:
    """Ask the index for a wheel of every package in ``file``, under each Python and platform; downloads none.

    SystemExit with uv's own words where one is missing, or none that is there has a locked hash.
    """
    for python, platform in product(PYTHONS, PLATFORMS):
        with TemporaryDirectory() as nowhere:
            line = [
                sys.executable, "-m", "uv", "pip", "install", "-q", "--dry-run", "--no-config", "--no-deps",
                "--require-hashes", "--only-binary", ":all:", "--no-binary", SOURCE_ONLY,
                "--python-version", python, "--python-platform", platform, "--target", nowhere, "-r", str(file),
            ]  # fmt: skip
            done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"Python {python} on {platform}: {done.stderr}")


def main() -> None:
    """Write every file of the lock anew, and check that every Python finds its wheels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--renew", nargs="*", default=[], help="packages that may change their version, or all"
    )
    pins = kept(parser.parse_args().renew)
    hashes = published(resolve(ROLES[EVERYTHING][0], pins, "--format", "pylock.toml"))
    pins = sorted(hashes)  # one version of each package, whatever the role
    found = {file: resolved(resolve(extras, pins), hashes) for file, (extras, _) in ROLES.items()}
    (ROOT / "locks").mkdir(exist_ok=True)
    for file, packages in found.items():
        own = {one for one in packages - included(file, found) if not CUDA_NAME.fullmatch(one.name)}
        (ROOT / file).write_text(written(file, own), encoding="utf-8")
    cuda = {one for one in found["locks/hospital.txt"] if CUDA_NAME.fullmatch(one.name)}
    for file, packages in ((CUDA, cuda), (CPU, cpu_builds(hashes))):
        (ROOT / file).write_text(written(file, packages), encoding="utf-8")
    check_pythons(ROOT / EVERYTHING)


if __name__ == "__main__":
    main()
