"""Release 0.1.0 itself, built from this repository's history and installed in a Python of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import ROOT
from tests.installation import BUILD, environment_with

COMMIT = "6fcab2c375c02404bd5c5aa3a56a42bf666cc3db"


def install_0_1_0(folder: Path) -> str:
    """Give the Python of an environment with 0.1.0; skips the test where this checkout has no history of it.

    All other packages are this one's. Flower is newer than 0.1.0 allows: what 0.1.0 says to Flower is not tried.
    """
    git = shutil.which("git")
    if (
        git is None
        or subprocess.run([git, "-C", ROOT, "cat-file", "-e", COMMIT], capture_output=True).returncode
    ):
        pytest.skip("this checkout has no history of 0.1.0")
    tree = folder / "tree"
    tree.mkdir(parents=True)
    archive = subprocess.run([git, "-C", ROOT, "archive", COMMIT], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
    subprocess.run([sys.executable, "-P", "-c", BUILD, folder], cwd=tree, capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    return environment_with(wheel, folder)
