"""What a benchmark found, as tables for people and numbers for programs; the page keeps its findings."""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from wardround.protocol.text.plain import read_json

BEGIN, END = "<!-- generated: make bench -->", "<!-- end of generated -->"
PACKAGES = ("torch", "opacus", "flwr", "numpy", "scipy", "polars")


@dataclass(frozen=True)
class Part:
    """One benchmark's result.

    key: its letter. columns and rows: the table; a float is shown with three digits. notes: sentences below
    it. skipped: why there is none. facts: further numbers for performance.json.
    """

    key: str
    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    notes: Sequence[str] = ()
    skipped: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def write_page(parts: Sequence[Part], folder: Path, how: str) -> None:
    """Write performance.md and performance.json; parts that did not run now keep what an earlier run found.

    What stands outside the generated marks of performance.md, the findings, is kept as it is. how: the
    command's own words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "performance.json"
    known = read_json(store.read_bytes(), 2**24) if store.is_file() else {}
    plain = dict(known.get("parts", {}))
    for part in parts:
        if not (part.skipped and part.key in plain):
            plain[part.key] = {**_plain(part), "run": how, "machine": machine()}
    plain = dict(sorted(plain.items()))
    store.write_text(json.dumps({"parts": plain}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = folder / "performance.md"
    text = page.read_text(encoding="utf-8") if page.is_file() else f"# Performance\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    generated = "\n".join(_section(one) for one in plain.values())
    page.write_text(f"{before}{BEGIN}\n\n{generated}\n{END}{after}", encoding="utf-8")


def machine() -> dict[str, object]:
    """Say what the figures were taken on."""
    return {
        "processors": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "load": round(os.getloadavg()[0], 1) if sys.platform != "win32" else None,
    }


def _plain(part: Part) -> dict[str, object]:
    return {
        "key": part.key,
        "title": part.title,
        "columns": list(part.columns),
        "rows": [list(row) for row in part.rows],
        "notes": list(part.notes),
        "skipped": part.skipped,
        "facts": dict(part.facts),
    }


def _section(part: Mapping[str, object]) -> str:
    lines = [f"## ({part['key']}) {part['title']}", ""]
    if part["skipped"]:
        return "\n".join([*lines, f"Not run: {part['skipped']}.", ""])
    columns, rows = _texts(part["columns"]), part["rows"]
    lines += [_row(columns), _row(["---"] + ["---:"] * (len(columns) - 1))]
    lines += [_row([shown(cell) for cell in row]) for row in rows] if isinstance(rows, list) else []
    lines += ["", *_texts(part["notes"]), "", f"{_about(part)}", ""]
    return "\n".join(lines)


def _about(part: Mapping[str, object]) -> str:
    about = part["machine"] if isinstance(part["machine"], Mapping) else {}
    listed = ", ".join(
        f"{name} {about[name]}" for name in ("python", "torch", "opacus", "flwr") if name in about
    )
    return f"*{part['run']}; {about.get('processors')} processors, load {about.get('load')} at the end; {listed}.*"


def _texts(values: object) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list) else []


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def shown(cell: object) -> str:
    """Show a cell: floats with three digits, nothing for None."""
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return "–" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell)
