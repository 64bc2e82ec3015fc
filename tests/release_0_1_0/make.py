"""Make ``home.tar.xz`` anew: ``python -m tests.release_0_1_0.make``, by hand; needs Flower 1.41 from the registry.

    north/              the hospital's home after two of four rounds of the study "tea"
    operator/           the operator's home at the same time, without Flower's own files
    kits/               what the operator sent
    ended/              the study's folder after its end
    request.bin, answer.bin   one request and one answer as they went over the wire

Its patients are invented and not in it, and its keys are worth nothing anywhere.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.release_0_1_0.home import ARCHIVE
from tests.release_0_1_0.installed import install_0_1_0

LEFT_OUT = ("supernode", "run", "tables", "superlink", "lock", "server.log", "*.html")


def main() -> None:
    """Run the study under 0.1.0, and pack what it left."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        python = install_0_1_0(folder / "installed")
        flower = ["-m", "pip", "--python", python, "install", "--no-deps", "flwr==1.41.0"]
        subprocess.run(["python3", *flower], check=True)
        subprocess.run([python, "-P", Path(__file__).with_name("study.py"), folder], check=True)
        packed, without = folder / "packed", shutil.ignore_patterns(*LEFT_OUT)
        for name in ("north", "operator", "kits"):
            shutil.copytree(folder / "mid" / name, packed / name, ignore=without)
        shutil.copytree(folder / "ended/operator/studies/tea", packed / "ended", ignore=without)
        for name in ("request.bin", "answer.bin"):
            shutil.copy(folder / name, packed)
        events = packed / "ended/events.jsonl"
        events.write_text(re.sub(re.escape(str(folder)), "/srv", events.read_text()))
        tar = [
            "tar",
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "-C",
            packed,
            "-cJf",
            ARCHIVE,
            ".",
        ]
        subprocess.run(tar, check=True)


if __name__ == "__main__":
    main()
