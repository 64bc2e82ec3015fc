"""A simulated federation's encoded patients, kept in the user's cache: a sweep reads, gates and encodes once."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import numpy as np

from wardround.client.cohort import Cohort
from wardround.conf.settings import StudySettings
from wardround.protocol.contract.contract import Contract
from wardround.simulations.federation.encoded_key import EncodedKey, encoded_key
from wardround.simulations.federation.entry_store import Arrays, EntryStore, StoredArrays, store_of
from wardround.simulations.federation.federation import Federation, load_federation

KIND = "encoded"
_PARTS = ("training", "heldout")
_TRUTH = "true_probability"


def load_cached(settings: StudySettings) -> Federation:
    """Load a study's federation, from the cache where ``federation.cache`` allows and an entry is there.

    Guarantee: the same federation, bit for bit, with and without. Errors: those of ``load_federation``.
    """
    data, contract, seed = settings.data, settings.contract, settings.seed
    store = store_of(settings.federation)
    key = _key(settings) if store is not None else None
    if store is None or key is None:
        return load_federation(data, contract, seed)
    with store.one_at_a_time(KIND, asdict(key)):
        federation = find_federation(store, key, contract)
        if federation is None:
            federation = load_federation(data, contract, seed)
            if _key(settings) == key:  # the table was not exchanged while it was read
                keep_federation(store, key, federation)
        return federation


def find_federation(store: EntryStore, key: EncodedKey, contract: Contract) -> Federation | None:
    """Give the federation that is kept under the key; None where there is none that can be believed."""
    entry = store.find(KIND, asdict(key))
    try:
        return None if entry is None else _assembled(entry, contract, key.split_seed)
    except (KeyError, TypeError, ValueError):
        return None


def keep_federation(store: EntryStore, key: EncodedKey, federation: Federation) -> bool:
    """Keep the federation; False where that cannot be."""
    facts = {
        "hospitals": list(federation.hospitals),
        "as_of": federation.as_of.isoformat(),
        "data_fingerprint": federation.data_fingerprint,
        "counts": dict(federation.counts),
        "how_read": dict(federation.how_read),
    }
    return store.keep(KIND, asdict(key), StoredArrays(_arrays(federation), facts))


def _key(settings: StudySettings) -> EncodedKey | None:
    """Say what the federation depends on; None where that is not known: of a user's own data source.

    Also where a file cannot be read, which loading says better.
    """
    if settings.data.name == "own":
        return None
    try:
        return encoded_key(settings.data, settings.contract, settings.seed)
    except OSError:
        return None


def _arrays(federation: Federation) -> Arrays:
    found = {
        f"{part}.{field.name}": np.ascontiguousarray(getattr(getattr(federation, part), field.name))
        for part in _PARTS
        for field in fields(Cohort)
        if getattr(getattr(federation, part), field.name) is not None
    }
    if federation.true_probability is not None:
        found[_TRUTH] = np.ascontiguousarray(federation.true_probability)
    return found


def _assembled(entry: StoredArrays, contract: Contract, seed: int) -> Federation:
    arrays: Mapping[str, Any] = entry.arrays
    cohorts = {
        part: Cohort(**{field.name: _array(arrays, f"{part}.{field.name}") for field in fields(Cohort)})
        for part in _PARTS
    }
    facts = entry.facts
    return Federation(
        contract=contract,
        hospitals=tuple(facts["hospitals"]),
        seed=seed,
        as_of=datetime.fromisoformat(str(facts["as_of"])),
        data_fingerprint=str(facts["data_fingerprint"]),
        true_probability=arrays.get(_TRUTH),
        counts=dict(facts["counts"]),
        how_read=dict(facts["how_read"]),
        **cohorts,
    )


def _array(arrays: Mapping[str, Any], name: str) -> Any:
    """Give an array of a cohort; of a contract without arms or propensities there are none."""
    return arrays.get(name) if name.endswith((".arms", ".importance")) else arrays[name]
