"""Encoded patients on disk: the same bit for bit, another entry for every part of the key, never trusted."""

import os
import re
import stat
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.simulations.imports import not_covered
from wardround.client.cohort import Cohort
from wardround.conf.composed import compose_study
from wardround.conf.settings import StudySettings
from wardround.protocol.errors import TableError
from wardround.simulations.federation import code_digest, encoded_cache, encoded_key
from wardround.simulations.federation.encoded_cache import (
    KIND,
    find_federation,
    keep_federation,
    load_cached,
)
from wardround.simulations.federation.encoded_key import ENCODERS, EncodedKey
from wardround.simulations.federation.entry_store import EntryStore, cache_folder
from wardround.simulations.federation.federation import Federation

SMALL = ("data.hospitals=3", "data.patients=240", "data.messages=900", "data.smallest=40", "data.largest=120")
ROW = "63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,2.3,3.0,0.0,6.0,{}"


@cache
def composed(*overrides: str) -> StudySettings:
    return compose_study(*overrides)


def settings(tmp_path: Path, *overrides: str, seed: int | None = None) -> StudySettings:
    study = cached_in(tmp_path, composed(*SMALL, *overrides))
    return study if seed is None else replace(study, seed=seed)


def cached_in(tmp_path: Path, study: StudySettings) -> StudySettings:
    return replace(study, federation=replace(study.federation, cache_dir=tmp_path / "cache"))


def heart(tmp_path: Path) -> StudySettings:
    tables = tmp_path / "heart"
    tables.mkdir(exist_ok=True)
    for hospital in ("cleveland", "hungarian", "switzerland", "va"):
        rows = [ROW.format(index % 2) for index in range(40)]
        (tables / f"processed.{hospital}.data").write_text("\n".join([*rows, ""]))
    study = composed("data=heart", "data.path=anywhere")
    return cached_in(tmp_path, replace(study, data=replace(study.data, path=tables)))


def entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "encoded").glob("*"))


def store_in(tmp_path: Path, most_bytes: int = 1 << 30) -> EntryStore:
    return EntryStore(tmp_path / "cache", most_bytes)


def key_of(study: StudySettings) -> EncodedKey:
    return encoded_key.encoded_key(study.data, study.contract, study.seed)


def assert_same(one: Federation, other: Federation) -> None:
    """Every field of Federation, bit for bit: a new one that is not kept fails here."""
    for part in ("training", "heldout"):
        for field in fields(Cohort):
            a, b = (getattr(getattr(federation, part), field.name) for federation in (one, other))
            if a is None:  # what no contract here names
                assert b is None
                assert field.name in ("arms", "importance")
                continue
            assert a.dtype == b.dtype, (part, field.name)
            assert a.tobytes() == b.tobytes(), (part, field.name)
            assert a.shape == b.shape
    assert (one.true_probability is None) == (other.true_probability is None)
    if one.true_probability is not None and other.true_probability is not None:
        assert one.true_probability.tobytes() == other.true_probability.tobytes()
    arrays = ("training", "heldout", "true_probability")
    for field in fields(Federation):
        if field.name not in arrays:
            assert getattr(one, field.name) == getattr(other, field.name), field.name


@pytest.fixture
def no_second_encoding(monkeypatch):
    """From the call on, loading must not read or draw a table."""

    def forbid():
        def refuse(*_):
            raise AssertionError("the tables were read")

        monkeypatch.setattr(encoded_cache, "load_federation", refuse)

    return forbid


@pytest.mark.slow
@pytest.mark.parametrize("source", ["synthetic", "heart"])
def test_the_second_run_reads_no_table_and_finds_the_same(source, tmp_path, no_second_encoding):
    study = settings(tmp_path) if source == "synthetic" else heart(tmp_path)
    without = load_cached(replace(study, federation=replace(study.federation, cache=False)))
    assert not entries(tmp_path)
    first = load_cached(study)
    no_second_encoding()
    second = load_cached(study)
    assert_same(first, without)
    assert_same(second, without)


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_an_entry_is_for_the_owners_eyes(mask, tmp_path):
    before = os.umask(mask)
    try:
        load_cached(settings(tmp_path))
    finally:
        os.umask(before)
    (entry,) = entries(tmp_path)
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    assert stat.S_IMODE(entry.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("part", [field.name for field in fields(EncodedKey)])
def test_every_part_of_the_key_names_another_entry(part, tmp_path):
    key = key_of(settings(tmp_path))
    other = replace(key, **{part: key.split_seed + 1 if part == "split_seed" else "another"})
    store = EntryStore(tmp_path, 1)
    assert store.path(KIND, asdict(other)) != store.path(KIND, asdict(key))


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("seed=1", {"data", "consents", "split_seed"}),
        ("data.messages=901", {"data", "consents"}),
        ("data.span_days=400", {"data", "consents", "as_of"}),
        ("contract.events_per_patient=2", {"contract"}),
        ("training.rounds=3", set()),
        ("privacy.epsilon=3", set()),
        ("model=mlp", set()),
    ],
)
def test_what_a_setting_changes_in_the_key(override, parts, tmp_path):
    one, other = key_of(settings(tmp_path)), key_of(settings(tmp_path, override))
    assert {f.name for f in fields(EncodedKey) if getattr(one, f.name) != getattr(other, f.name)} == parts


def test_one_byte_of_a_table_is_another_entry(tmp_path):
    study = heart(tmp_path)
    before = key_of(study)
    table = study.data.path / "processed.va.data"
    table.write_text(table.read_text().replace("145.0", "146.0", 1))
    after = key_of(study)
    assert after.data != before.data
    assert replace(after, data=before.data) == before


def test_code_that_encodes_is_part_of_the_key(needs, monkeypatch):
    """Whatever the encoders import, of ours, is under ENCODERS."""
    start = (
        "wardround.client.gate.admit",
        "wardround.client.features",
        "wardround.client.connectors.readable",
        "wardround.simulations.federation.datasets",
        "wardround.simulations.population.draw",
    )
    assert not_covered(needs, start, ENCODERS) == set()
    before = encoded_key.encoder_digest()
    monkeypatch.setattr(code_digest, "version", lambda name: "0")
    assert encoded_key.encoder_digest() != before


def test_nothing_in_a_hospital_imports_the_cache(needs):
    cache = "wardround.simulations.federation.entry_store"
    importers = [module for module, needed in needs.items() if cache in needed]
    assert importers
    sides = ("wardround.client", "wardround.server", "wardround.protocol", "wardround.conf")
    assert not [importer for importer in importers if importer.startswith(sides)]


def test_no_code_of_a_hospital_writes_arrays_or_tables_but_asked_for_scores():
    """An agent keeps features in memory: of all of client/, ``score`` alone writes a table, for a person."""
    root = Path(encoded_key.__file__).parents[1] / "client"
    writes = re.compile(
        r"np\.save|savez|save_file|\.write_(parquet|csv|ipc)|tofile\(|\.sink_|memmap|safetensors\."
    )
    found = {
        str(source.relative_to(root))
        for source in root.rglob("*.py")
        if writes.search(source.read_text(encoding="utf-8"))
    }
    assert found <= {"commands/score.py", "commands/arguments.py"}  # the latter names a model.safetensors


def spoil_a_byte(entry: Path) -> None:
    whole = bytearray(entry.read_bytes())
    whole[-5] ^= 1
    entry.write_bytes(whole)


def spoil_the_facts(entry: Path) -> None:
    whole = entry.read_bytes()
    assert b"hospital_01" in whole
    entry.write_bytes(whole.replace(b"hospital_01", b"hospital_09", 1))


def cut(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-100])


def empty(entry: Path) -> None:
    entry.write_bytes(b"")


def open_to_others(entry: Path) -> None:
    entry.chmod(0o620)


def link(entry: Path) -> None:
    kept = entry.with_name("elsewhere")
    entry.replace(kept)
    entry.symlink_to(kept)


@pytest.mark.parametrize("spoil", [spoil_a_byte, spoil_the_facts, cut, empty, open_to_others, link])
def test_what_is_damaged_or_foreign_is_not_read_and_written_anew(spoil, tmp_path):
    study = settings(tmp_path)
    whole = load_cached(study)
    (entry,) = entries(tmp_path)
    store, key = store_in(tmp_path), key_of(study)
    assert find_federation(store, key, study.contract) is not None
    spoil(entry)
    assert find_federation(store, key, study.contract) is None
    assert_same(load_cached(study), whole)
    found = find_federation(store, key, study.contract)
    assert found is not None
    assert_same(found, whole)


def test_an_entry_under_anothers_name_is_not_read(tmp_path):
    one, other = settings(tmp_path), settings(tmp_path, seed=1)
    load_cached(one)
    (entry,) = entries(tmp_path)
    store = store_in(tmp_path)
    entry.rename(store.path(KIND, asdict(key_of(other))))
    assert find_federation(store, key_of(other), other.contract) is None


def test_the_longest_unused_go_first_and_nothing_else(tmp_path):
    studies = [settings(tmp_path, seed=seed) for seed in (1, 2, 3)]
    federations = [load_cached(study) for study in studies]
    folder = tmp_path / "cache" / "encoded"
    foreign = folder / "model.safetensors"
    foreign.write_bytes(b"not ours")
    names = [store_in(tmp_path).path(KIND, asdict(key_of(study))) for study in studies]
    for age, name in zip((30, 20, 10), names, strict=True):
        os.utime(name, (1_000_000 - age, 1_000_000 - age))
    room = sum(name.stat().st_size for name in names) + 2000  # not for a fourth
    store = store_in(tmp_path, room)
    # Used: now the newest.
    assert find_federation(store, key_of(studies[0]), studies[0].contract) is not None
    fourth = settings(tmp_path, seed=4)
    assert keep_federation(store, key_of(fourth), federations[0])
    assert [name.exists() for name in names] == [True, False, True]
    held = sum(path.stat().st_size for path in folder.glob("*.encoded"))
    assert held <= room
    assert foreign.exists()
    assert not keep_federation(store_in(tmp_path, 1000), key_of(fourth), federations[0])


def test_a_folder_that_cannot_be_written_fails_nothing(tmp_path):
    (tmp_path / "cache").write_text("a file in its place")
    study = settings(tmp_path)
    assert load_cached(study).hospitals == ("hospital_01", "hospital_02", "hospital_03")


def test_a_table_that_is_not_there_is_said_as_ever(tmp_path):
    study = heart(tmp_path)
    (study.data.path / "processed.va.data").unlink()
    with pytest.raises(TableError, match=r"no file processed\.va\.data"):
        load_cached(study)


def test_where_entries_are(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / "wardround"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / ".cache" / "wardround"
    assert cache_folder(tmp_path / "mine") == tmp_path / "mine"


def test_arrays_are_no_pickles(tmp_path):
    load_cached(settings(tmp_path))
    (entry,) = entries(tmp_path)
    header = entry.read_bytes()[8:2000]
    assert header.startswith(b"{")
    assert np.frombuffer(entry.read_bytes()[:8], "<u8")[0] < entry.stat().st_size


def test_arms_and_importance_are_kept_with_the_rest(tmp_path):
    study = settings(tmp_path)
    federation = load_cached(replace(study, federation=replace(study.federation, cache=False)))
    parts = {
        part: replace(
            cohort,
            arms=np.arange(cohort.event_count, dtype=np.int32) % 2,
            importance=1 / np.arange(1.0, cohort.event_count + 1),
        )
        for part, cohort in (("training", federation.training), ("heldout", federation.heldout))
    }
    with_arms, store = replace(federation, **parts), EntryStore(tmp_path, 10**9)
    assert keep_federation(store, key_of(study), with_arms)
    found = find_federation(store, key_of(study), study.contract)
    assert_same(found, with_arms)
    assert found.training.arms is not None
    assert found.training.importance is not None
