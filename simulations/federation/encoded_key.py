"""What encoded patients depend on: an entry of the cache is another one as soon as any part of this differs."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from wardround.conf.compose import build
from wardround.conf.settings import DataSettings
from wardround.protocol.contract.contract import Contract
from wardround.simulations.federation.code_digest import code_digest
from wardround.simulations.federation.federation import LOOKED_AT, UNDATED
from wardround.simulations.population.draw import PopulationSettings

ENCODERS = (
    ("wardround.protocol", ""),
    ("wardround.client", "cohort.py"),
    ("wardround.client", "features.py"),
    ("wardround.client", "gate"),
    ("wardround.client", "connectors"),
    ("wardround.simulations", "federation/datasets.py"),
    ("wardround.simulations", "federation/federation.py"),
    ("wardround.simulations", "federation/own_table.py"),
    ("wardround.simulations", "population"),
)
"""The code between a table and its cohorts, folders with all that is in them: an edit makes entries new."""
_LIBRARIES = ("numpy", "polars")  # what they parse and round may differ from release to release


@dataclass(frozen=True, kw_only=True)
class EncodedKey:
    """Hex digests, texts and the seed; equal keys give equal cohorts, bit for bit.

    contract: its fingerprint. data: of the files' bytes with their mapping, format and time zone, or of a synthetic
    federation's sizes and seed.
    consents: of what the consents are drawn from, "none" where the tables hold none. as_of: the time, or
    the rule by which it follows from the data. split_seed: keys tokens, split and draw of events. encoder: of
    the code and libraries that encode.
    """

    contract: str
    data: str
    consents: str
    as_of: str
    split_seed: int
    encoder: str


def encoded_key(data: DataSettings, contract: Contract, seed: int) -> EncodedKey:
    """Say what the federation of these settings depends on, without reading a row of it.

    OSError where a file cannot be read.
    """
    consents, as_of = "none", LOOKED_AT if contract.outcome_at else UNDATED.isoformat()
    if data.path is None:
        settings = build(PopulationSettings, data.population, "data")
        drawn = json.dumps([asdict(settings), seed], sort_keys=True)
        digest, consents = _sha256(b"tables", drawn.encode()), _sha256(b"consents", drawn.encode())
        # Drawn tables alone have their time in the settings; that of a file's follows from its bytes by a fixed rule.
        as_of = settings.as_of.isoformat()
    else:
        digest = _digest_of_files(data)
    return EncodedKey(
        contract=contract.fingerprint,
        data=digest,
        consents=consents,
        as_of=as_of,
        split_seed=seed,
        encoder=encoder_digest(),
    )


def encoder_digest() -> str:
    """Hex SHA-256 of the sources under ENCODERS and the versions of the libraries that they use."""
    return code_digest(ENCODERS, _LIBRARIES)


def _digest_of_files(data: DataSettings) -> str:
    path = Path(data.path or "")
    read = [path]
    # Imported where they are needed: a synthetic federation that is kept waits for no reader of tables.
    if data.name == "heart":
        from wardround.simulations.federation.datasets import heart_files

        read = heart_files(path)
    whole = hashlib.sha256(data.name.encode())
    if data.name == "table":
        from wardround.simulations.federation.own_table import mapping_of, source_of

        whole.update(json.dumps([mapping_of(data), data.timezone], sort_keys=True).encode())
        source = source_of(data)
        read = [file for files in source.files().values() for file in files]
    for file in read:
        # The ending says how a file is read.
        whole.update(f"\0{'/'.join(file.suffixes).lower()}\0".encode())
        with file.open("rb") as handle:
            whole.update(hashlib.file_digest(handle, "sha256").digest())
    return whole.hexdigest()


def _sha256(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
