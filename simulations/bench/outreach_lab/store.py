"""Measured cells, kept one file each, so that a run that was stopped goes on where it was."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from wardround.protocol.files import write_durably
from wardround.protocol.text.plain import read_json
from wardround.simulations.bench.outreach_lab.federations import OutreachCell, measure
from wardround.simulations.measures.engagement import Engagement

LARGEST_CELL = 2**20  # bytes


def measure_missing(cells: Sequence[OutreachCell], folder: Path, patients: int) -> str:
    """Measure the cells that were not measured before; gives a line that says which they were."""
    for cell in cells:
        if not (place := _place(folder, cell)).exists():
            write_durably(place, json.dumps(asdict(measure(cell, patients))).encode())
    return f"{cells[0].federation}, {cells[0].assignment}, seed {cells[0].seed}"


def read(folder: Path, cell: OutreachCell) -> Engagement:
    """Read one measured cell."""
    return Engagement(**read_json(_place(folder, cell).read_bytes(), LARGEST_CELL))


def _place(folder: Path, cell: OutreachCell) -> Path:
    parts = (cell.federation, cell.assignment, cell.contract, cell.noise, str(cell.seed))
    return folder / ("-".join(parts).replace(" ", "_") + ".json")
