"""The distribution: what a person installs is complete, and each command runs from it alone."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.builders import ROOT

FOLDERS = {"api": "wardround"} | {
    side: f"wardround/{side}"
    for side in ("protocol", "client", "server", "deploy", "pages", "simulations", "conf")
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# A path of the machine that built or tests it must not help: only PYTHONPATH below decides.
QUIET = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def pip(*arguments: str, cwd: Path) -> None:
    command = [sys.executable, "-m", "pip", "-qq", *arguments]
    ran = subprocess.run(command, cwd=cwd, env=QUIET, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, so that building leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp("source")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source), cwd=folder)
    (built,) = folder.glob("wardround-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--target", str(target), str(wheel), cwd=wheel.parent)
    return target


def run(program: list[str], installed: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with the installed folder first; -P keeps the folder it stands in off the path."""
    environment = QUIET | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", *program]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_configuration_file(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = {
        f"{package}/{file.relative_to(ROOT / folder)}"
        for folder, package in FOLDERS.items()
        for file in (ROOT / folder).rglob("*.*")
        if file.is_file()
    }
    assert {name for name in files if "__pycache__" not in name} <= packed
    assert "wardround/conf/simulate.yaml" in packed


@pytest.mark.slow
def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"wardround"}


@pytest.mark.slow
def test_what_is_installed_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    names = [package.replace("/", ".") for package in FOLDERS.values()]
    program = f"import {', '.join(names)}; print(*(m.__file__ for m in ({', '.join(names)})), sep='\\n')"
    ran = run(["-c", program], installed, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert all(line.startswith(str(installed)) for line in ran.stdout.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("command", PROJECT["scripts"])
def test_each_command_helps_from_an_empty_folder(command: str, installed: Path, tmp_path: Path) -> None:
    ran = run([str(installed / "bin" / command), "--help"], installed, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert command in ran.stdout
    assert ran.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_installed_command_composes_its_own_study(installed: Path, tmp_path: Path) -> None:
    command = str(installed / "bin" / "wardround-simulate")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "simulate.yaml").write_text("study: another\n", encoding="utf-8")
    ran = run([command, "--cfg", "job", "privacy.epsilon=2"], installed, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "epsilon: 2" in ran.stdout
    assert "another" not in ran.stdout
    assert run([command, "--version"], installed, tmp_path).stdout == f"wardround {PROJECT['version']}\n"


@pytest.mark.slow
def test_the_installed_command_says_a_wrong_setting_in_one_line(installed: Path, tmp_path: Path) -> None:
    ran = run([str(installed / "bin" / "wardround-simulate"), "privacy.epsilon=0"], installed, tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "privacy.epsilon=0.0: must be greater than 0 and finite\n"


@pytest.mark.slow
def test_without_hydra_the_command_names_the_extra(installed: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['hydra'] = None\n"
        "from wardround.simulations.main import main\n"
        "sys.exit(main())"
    )  # fmt: skip
    ran = run(["-c", program], installed, tmp_path)
    assert ran.returncode == 2
    assert (
        ran.stderr
        == f"hydra-core is not installed; in the checkout scripts/install.sh {sys.prefix} simulation\n"
    )


@pytest.mark.slow
def test_an_editable_install_follows_the_source(source: Path, tmp_path: Path) -> None:
    pip(
        "install", "--no-deps", "--no-build-isolation", "--ignore-installed", "--prefix", str(tmp_path),
        "--editable", str(source), cwd=tmp_path,
    )  # fmt: skip
    (site,) = tmp_path.glob("lib/python*/site-packages")
    program = (
        f"import site, sys; sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in str(f)]\n"
        f"for name in [n for n in sys.modules if '__editable__' in n]: del sys.modules[name]\n"
        f"sys.path.insert(0, {str(site)!r}); site.addsitedir({str(site)!r})\n"
        "import wardround.conf, wardround.simulations.main\n"
        "print(wardround.conf.__file__); sys.argv[1:] = ['--cfg', 'job']; sys.exit(wardround.simulations.main.main())"
    )
    ran = run(["-c", program], tmp_path / "none", tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[0] == str(source / "conf" / "__init__.py")
    assert "epsilon: 1.0" in ran.stdout


def test_a_hospital_installs_nothing_that_simulates_or_plots() -> None:
    base = " ".join(PROJECT["dependencies"]).lower()
    assert not [
        name for name in ("hydra", "ray", "matplotlib", "scikit", "fairlearn", "[simulation]") if name in base
    ]
