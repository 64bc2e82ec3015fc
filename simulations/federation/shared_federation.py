"""A federation's training patients in a folder, for worker processes: numbers and text, never a pickle.

Each array is one ``.npy`` file that workers map into memory, so that all of them share one copy. The folder
belongs to one run and is deleted with it.
"""

import json
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from wardround.client.cohort import Cohort, no_patients
from wardround.protocol.terms.reading import terms_from_mapping
from wardround.protocol.terms.terms import Terms, terms_to_mapping
from wardround.protocol.text.plain import read_json
from wardround.simulations.federation.federation import Federation

_LARGEST = 2**26  # bytes


def write_shared(folder: Path, federation: Federation, terms: Terms) -> None:
    """Write what ``open_shared`` reads; held-out patients are left out."""
    facts = {
        "hospitals": federation.hospitals,
        "seed": federation.seed,
        "as_of": federation.as_of.isoformat(),
        "data_fingerprint": federation.data_fingerprint,
        "terms": terms_to_mapping(terms),
    }
    (folder / "federation.json").write_text(json.dumps(facts), encoding="utf-8")
    for field in fields(Cohort):
        array = getattr(federation.training, field.name)
        if array is not None:
            np.save(folder / f"{field.name}.npy", array, allow_pickle=False)


def open_shared(folder: Path) -> tuple[Federation, Terms]:
    """Open the folder read-only; nothing is copied until it is used."""
    facts = read_json((folder / "federation.json").read_bytes(), _LARGEST)
    terms = terms_from_mapping(facts["terms"])
    arrays = {path.stem: _mapped(path) for path in sorted(folder.glob("*.npy"))}
    federation = Federation(
        contract=terms.contract,
        hospitals=tuple(facts["hospitals"]),
        training=Cohort(**arrays),
        # Workers train; held-out patients stay with the process that compares.
        heldout=no_patients(terms.contract.layout, len(facts["hospitals"])),
        seed=facts["seed"],
        as_of=datetime.fromisoformat(facts["as_of"]),
        data_fingerprint=facts["data_fingerprint"],
    )
    return federation, terms


def _mapped(path: Path) -> Any:
    return np.asarray(np.load(path, allow_pickle=False, mmap_mode="r"))
