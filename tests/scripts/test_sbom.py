"""The bill of materials: valid, complete, the same each time, and of no machine."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scripts.lock import ROOT, locked
from tests.builders import VERSION


def bill(folder: Path, name: str, zone: str = "UTC") -> str:
    wheel = folder / f"wardround-{VERSION}-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    subprocess.run(
        [sys.executable, "-m", "scripts.sbom", folder / name, "--wheel", wheel],
        cwd=ROOT, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": "1790000000", "TZ": zone},
    )  # fmt: skip
    return (folder / name).read_text(encoding="utf-8")


def test_the_bill_is_valid_and_lists_every_locked_package(tmp_path: Path) -> None:
    text = bill(tmp_path, "bill.json")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    plain = json.loads(text)
    listed = {
        (one["name"], one["version"], file["value"]): sorted(part["content"] for part in one["hashes"])
        for one in plain["components"]
        for file in one["properties"]
    }
    assert listed == {
        (package.name, package.version, file): sorted(package.hashes)
        for file, packages in locked().items()
        for package in packages
    }
    project = plain["metadata"]["component"]
    assert (project["name"], project["version"]) == ("wardround", VERSION)
    assert [one["content"] for one in project["hashes"]] == [hashlib.sha256(b"wheel").hexdigest()]


def test_the_bill_is_the_same_each_time_and_of_no_machine(tmp_path: Path) -> None:
    text = bill(tmp_path, "one.json")
    assert bill(tmp_path, "two.json", "Asia/Tokyo") == text
    assert json.loads(text)["metadata"]["timestamp"].startswith("2026-09-21T")
    assert not re.search(rf"{tmp_path}|{ROOT}|file:|\.venv", text)
    assert set(re.findall(r"https?://[^\"]+", text)) == {"http://cyclonedx.org/schema/bom-1.6.schema.json"}
