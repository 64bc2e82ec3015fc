"""The wheel of a commit is the same bytes, whoever builds it."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.builders import ROOT, VERSION

MUST_HOLD = (
    "server/network/shim/shim.py",
    "client/home/templates/policy.yaml",
    "conf/simulate.yaml",
    "py.typed",
)


def built(folder: Path, umask: int, zone: str) -> Path:
    """Build the last commit in a clone of its own, whose files have other modes and times."""
    environment = {**os.environ, "TZ": zone, "HOME": str(folder), "LC_ALL": "C"}
    options = {"env": environment, "umask": umask, "check": True}
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{ROOT}", folder / "clone"], **options)  # type: ignore[call-overload]
    (folder / "clone/client/left_behind.py").write_text("STRAY = 1\n")  # no commit holds it
    subprocess.run([folder / "clone/scripts/wheel.sh", sys.executable, folder / "dist"], **options)  # type: ignore[call-overload]
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


@pytest.mark.slow
def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "of another name").mkdir()
    one = built(tmp_path / "one", 0o022, "UTC")
    other = built(tmp_path / "of another name", 0o077, "Asia/Tokyo")
    assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest()
    packed = zipfile.ZipFile(one).namelist()
    assert {f"wardround/{name}" for name in MUST_HOLD} <= set(packed)
    assert {name.split("/")[0] for name in packed} - {f"wardround-{VERSION}.dist-info"} == {"wardround"}
    assert "wardround/client/left_behind.py" not in packed
    assert not [name for name in packed if "test" in name.split("/")[-1] and name.endswith(".py")]
