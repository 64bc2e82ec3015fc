"""The guide of outreach, replayed: every command of docs/outreach-guide.md, in its order, says what the page shows."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.builders import ROOT
from wardround.client.main import main
from wardround.conf.composed import compose_study
from wardround.simulations.report.run_files import write_run
from wardround.simulations.study.study import conduct

PAGE = (ROOT / "docs/outreach-guide.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```console\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)


def train_the_demo(folder: Path) -> None:
    """Train what ``make demo`` trains, without the models that it is compared with: the same weights."""
    assert "wardround-simulate experiment=demo output_dir=outputs/demo\n" in (ROOT / "Makefile").read_text()
    given = ("experiment=demo", "report=files", "report.compare=false", "federation.cache=false")
    settings = compose_study(*given, f"output_dir={folder}/outputs/demo")
    write_run(conduct(settings), settings.output_dir, settings.report)


def run(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run one command line; give what it said."""
    words = shlex.split(line)
    if words == ["make", "demo"]:
        train_the_demo(Path.cwd())
        return ""
    if words[0] == "wardround-hospital":
        assert main(words[1:]) == 0, (line, capsys.readouterr().err)
        if words[1] == "init":
            # Arms are drawn by this key: with another, other patients are called.
            Path("demo/keys/patients.key").write_text("07" * 32 + "\n")
        return capsys.readouterr().out
    shell = line.replace("python ", f"{shlex.quote(sys.executable)} ", 1) if words[0] == "python" else line
    done = subprocess.run(["/bin/bash", "-c", shell], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def bare(text: str, folder: Path) -> list[str]:
    """Give the words of an output, without what chance or the place decides: numbers, digests and paths."""
    text = text.replace(f"{folder}/", "")
    text = re.sub(r"[0-9a-f]{8,}", "#", text)
    # Cells are folded where a number's width says: letters alone are compared, in their order.
    return sorted(re.findall(r"[^\W\d_]{4,}", text))


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a name so short that no line is broken in it."""
    with TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.slow
def test_the_guide_says_what_its_commands_say(
    short: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(short)
    monkeypatch.setenv("WARDROUND_HOME", "demo")
    (short / "examples").symlink_to(ROOT / "examples")
    replayed = 0
    for block, shown in BLOCK.findall(PAGE):
        said = ""
        for line in block.replace("\\\n", " ").splitlines():
            if not line.startswith("export "):
                said += run(line, capsys)
                replayed += 1
        assert bare(said, short) == bare(shown, short), block
    assert (
        replayed == PAGE.count("\nwardround-hospital") + PAGE.count("\npython ") + PAGE.count("\nprintf ") + 1
    )
    texts, calls = (
        [path.read_text() for path in (short / "demo" / one).iterdir()] for one in ("texts", "desk")
    )
    assert (len(texts), len(calls)) == (1, 1)
    assert (texts[0].count("STOP"), calls[0].count("this is North Clinic")) == (334, 60)
