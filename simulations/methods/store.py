"""Finished cells on disk, one JSON line each: a run that was killed goes on, and nothing stale is reused.

A cell's key is a digest of the code, its settings and its table; a line under another key is as if it were not
there.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wardround.conf.compose import settings_to_mapping
from wardround.conf.settings import StudySettings
from wardround.protocol.text.plain import read_json
from wardround.simulations.methods.cases import Case
from wardround.simulations.methods.column import Cell

_LARGEST = 2**24  # bytes of a record
ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("api", "protocol", "client", "server", "conf", "simulations")
NOT_MEASURED = ("simulations/report/", "simulations/bench/", "simulations/loopback/")
PRESENTATION = (
    "__main__.py", "cases.py", "challengers.py", "figures.py", "heart_page.py", "page.py", "release_0_1_0.py",
    "runner.py", "store.py", "summary.py", "tables.py", "zoo.py", "zoo_looks.py", "zoo_page.py",
)  # fmt: skip
NOT_IN_FIGURES = ("output_dir", "report", "release_decision", "federation", "study")


def code_digest(root: Path = ROOT) -> str:
    """Digest of all source and configuration that a figure can depend on."""
    digest = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*.*")):
        name = path.relative_to(root).as_posix()
        presents = name.startswith("simulations/methods/") and path.name in PRESENTATION
        if path.suffix in (".py", ".yaml") and not presents and not name.startswith(NOT_MEASURED):
            digest.update(f"{name}\0{len(path.read_bytes())}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def table_digest(path: Path | None) -> str:
    """Digest of a table, or of the files of its folder; empty where the data is drawn."""
    if path is None:
        return ""
    digest = hashlib.sha256()
    for file in sorted(path.glob("processed.*")) if path.is_dir() else [path]:
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def cell_key(case: Case, settings: StudySettings, cell: Cell, code: str, table: str) -> str:
    """Say in one digest all that the cell's figure depends on."""
    plain: dict[str, Any] = {
        k: v for k, v in settings_to_mapping(settings).items() if k not in NOT_IN_FIGURES
    }
    # The table's digest stands for the file, wherever it lies.
    plain["data"] = {k: v for k, v in plain["data"].items() if k != "path"}
    asked = [
        code,
        table,
        case.split,
        case.zoo,
        list(map(str, case.personal)),
        list(map(str, asdict(cell).values())),  # JSON has no infinity
        plain,
    ]
    text = json.dumps(asked, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def store_path(folder: Path, case: Case, seed: int) -> Path:
    """Where a column's cells are kept."""
    return folder / f"{case.name}-{seed}.jsonl"


def read_records(path: Path) -> Iterator[dict[str, object]]:
    """Give the records of a column, the oldest first; a line that a kill cut short is passed over."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = read_json(line.encode(), _LARGEST)
        except ValueError:
            continue
        if isinstance(record, dict) and "key" in record:
            yield record


def append_record(path: Path, record: Mapping[str, object]) -> None:
    """Add one line, on a line of its own whatever a kill left before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cut = path.is_file() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    line = json.dumps(without_nan(record), ensure_ascii=False, allow_nan=False)
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if cut else "") + line + "\n")


def without_nan(value: object) -> object:
    """JSON has neither: None for NaN, the text ``inf`` for infinity, at any depth."""
    if isinstance(value, Mapping):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf"
    return value
