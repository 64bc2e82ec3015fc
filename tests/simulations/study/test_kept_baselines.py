"""Baselines kept between runs: the same bits with the cache, without it, and with a damaged file in it."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from threading import Barrier
from time import sleep

import numpy as np
import pytest

from tests.simulations.imports import not_covered
from wardround.client.personal import personal_mixture
from wardround.conf.composed import compose_study
from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.simulations.federation import code_digest
from wardround.simulations.federation.encoded_cache import load_cached
from wardround.simulations.federation.entry_store import KINDS, EntryStore, StoredArrays
from wardround.simulations.study import comparison, kept_baselines, privacy_facts
from wardround.simulations.study.kept_baselines import FITTERS, BaselineKey, baseline_key
from wardround.simulations.study.study import conduct, run, simulated_terms

SMALL = (
    "experiment=tiny", "data.patients=240", "data.messages=900", "data.smallest=40", "data.largest=120",
    "training.rounds=2", "report=files", "evaluation=none",
)  # fmt: skip
OTHER_EPSILON = (("privacy.epsilon=3",), ("privacy.epsilon=3", "personalization=boosted"))
FITTED = ("pooled_boosting", "alone_models", "pooled_model", "federated_model")


@cache
def composed(*overrides):
    return compose_study(*SMALL, *overrides)


@cache
def encoded(*overrides):
    """The federation and its terms, once for all tests: nothing here changes them."""
    settings = without(composed(*overrides))
    federation = load_cached(settings)
    return federation, simulated_terms(settings, federation)


def study(place, *overrides):
    settings = composed(*overrides)
    return replace(settings, federation=replace(settings.federation, cache_dir=place / "cache"))


def without(settings):
    return replace(settings, federation=replace(settings.federation, cache=False))


def bits(results):
    return {method: scores.tobytes() for method, scores in results.probabilities.items()}


def entries(place):
    return sorted((place / "cache" / "baseline").glob("*"))


def key_of(method="pooled", *overrides):
    return baseline_key(method, *encoded(*overrides), 1 << 20)


@pytest.fixture
def no_fitting(monkeypatch):
    """From the call on, no baseline may be fitted."""

    def forbid():
        def refuse(*_):
            raise AssertionError("a baseline was fitted")

        for name in FITTED:
            monkeypatch.setattr(comparison, name, refuse)

    return forbid


@pytest.mark.slow
def test_a_second_epsilon_fits_no_baseline_and_finds_the_same(tmp_path, no_fitting):
    once, other = study(tmp_path), study(tmp_path, "privacy.epsilon=3", "privacy.noise=local")
    plain, plainly_other = bits(conduct(without(once))), bits(conduct(without(other)))
    assert not entries(tmp_path)
    assert bits(conduct(once)) == plain
    assert len(entries(tmp_path)) == 4
    no_fitting()
    assert bits(conduct(other)) == plainly_other
    assert plain["federated_private"] != plainly_other["federated_private"]


@pytest.mark.slow
def test_what_no_shared_model_touches_of_a_personal_part_is_fitted_once(tmp_path, monkeypatch):
    """Each hospital alone, in four folds and on all: other ε fit the rest, whatever kind has that mixture in it."""
    started = []
    fit = personal_mixture.fit_effects_each

    def noted(layout, cohort, starts, **settings):
        started.append(len(starts))
        return fit(layout, cohort, starts, **settings)

    monkeypatch.setattr(personal_mixture, "fit_effects_each", noted)
    conduct(study(tmp_path))
    assert started == [3] * 5
    plain = {kind: bits(conduct(without(study(tmp_path, *kind)))) for kind in OTHER_EPSILON}
    started.clear()
    for kind, expected in plain.items():
        assert bits(conduct(study(tmp_path, *kind))) == expected
    assert started == [2] * 10


@pytest.mark.slow
def test_fits_that_would_push_out_all_else_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_baselines, "MOST_FITS_BYTES", 100)
    whole = bits(conduct(study(tmp_path)))
    assert len(entries(tmp_path)) == 3
    assert bits(conduct(study(tmp_path))) == whole


def test_an_entry_of_other_names_is_not_taken_for_fits(tmp_path):
    federation, terms = encoded()
    store = EntryStore(tmp_path / "cache", 1 << 20)
    key = asdict(baseline_key("alone_fits", federation, terms, 1 << 20))
    store.keep("baseline", key, StoredArrays({"1": np.ones(3), "probabilities": np.ones(3)}))
    seen = []
    kept = kept_baselines.KeptBaselines(store, federation, terms, 1 << 20)
    kept.with_alone_fits(lambda known: seen.append(dict(known)) or np.ones(1))
    assert seen == [{}]


def spoil_a_byte(entry):
    whole = bytearray(entry.read_bytes())
    whole[-5] ^= 1
    entry.write_bytes(whole)


def cut(entry):
    entry.write_bytes(entry.read_bytes()[:-100])


def open_to_others(entry):
    entry.chmod(0o620)


def anothers(entry):
    other = next(path for path in entry.parent.glob("*.baseline") if path != entry)
    entry.write_bytes(other.read_bytes())


@pytest.mark.slow
def test_damaged_files_are_not_read_and_written_anew(tmp_path, no_fitting):
    settings = study(tmp_path)
    whole = bits(conduct(settings))
    for spoil in (spoil_a_byte, cut, open_to_others, anothers):
        first = entries(tmp_path)[0]
        size = first.stat().st_size
        spoil(first)
        assert bits(conduct(settings)) == whole, spoil.__name__
        written = first.stat()
        assert (written.st_size, written.st_mode & 0o777) == (size, 0o600), spoil.__name__
    no_fitting()
    assert bits(conduct(settings)) == whole


@pytest.mark.slow
def test_without_a_comparison_the_private_model_stands_alone(tmp_path, no_fitting):
    """``report.compare=false``: nothing else is fitted, and its own figures stay the same."""
    whole = conduct(study(tmp_path))
    no_fitting()
    alone = study(tmp_path, "report.compare=false")
    found = run(replace(alone, output_dir=tmp_path / "run", report=replace(alone.report, html=True)))
    summary = json.loads(found.summary.read_text())
    assert {key for key, auc in summary["auc"].items() if auc is not None} == {
        "best_possible",
        "federated_private",
    }
    assert summary["auc"]["federated_private"] == whole.scores["federated_private"].auc
    assert summary["share_better_together"] is None
    assert found.report is not None


def test_the_second_accountants_epsilon_is_kept(tmp_path, monkeypatch):
    events, store = (PrivacyEvent(17.5, 1.0, 3), PrivacyEvent(20.5, 1.0, 1)), EntryStore(tmp_path, 1 << 20)
    plain = privacy_facts.second_epsilon(events, 1e-5, None)
    assert privacy_facts.second_epsilon(events, 1e-5, store) == plain
    privacy_facts.second_epsilon.cache_clear()

    def refuse(*_):
        raise AssertionError("composed again")

    monkeypatch.setattr(privacy_facts, "independent_epsilon", refuse)
    assert privacy_facts.second_epsilon(events, 1e-5, store) == plain
    with pytest.raises(AssertionError, match="composed again"):
        privacy_facts.second_epsilon(events, 2e-5, store)
    (entry,) = tmp_path.glob("accountant/*")
    entry.write_bytes(entry.read_bytes()[:-3])
    privacy_facts.second_epsilon.cache_clear()
    with pytest.raises(AssertionError, match="composed again"):
        privacy_facts.second_epsilon(events, 1e-5, store)


@pytest.mark.slow
def test_fedavg_without_privacy_is_kept_too(tmp_path, no_fitting):
    settings = study(tmp_path, "training.local_steps=2", "training.optimizer=sgd")
    whole = bits(conduct(settings))
    no_fitting()
    assert bits(conduct(settings)) == whole


@pytest.mark.parametrize("part", [field.name for field in fields(BaselineKey)])
def test_every_part_of_the_key_names_another_entry(part, tmp_path):
    key, store = key_of(), EntryStore(tmp_path, 1)
    other = replace(key, **{part: "another"})
    assert store.path("baseline", asdict(other)) != store.path("baseline", asdict(key))


@pytest.mark.parametrize(
    ("override", "method", "parts"),
    [
        ("privacy.epsilon=3", "pooled", set()),
        ("privacy.noise=local", "pooled_boosting", set()),
        ("training.rounds=3", "pooled", set()),
        ("training.rounds=3", "federated", {"settings"}),
        ("model=mlp", "pooled_boosting", set()),
        ("model=mlp", "pooled", {"settings"}),
        ("seed=1", "pooled_boosting", {"patients", "settings"}),
        ("contract.events_per_patient=2", "pooled", {"patients", "contract"}),
    ],
)
def test_what_a_setting_changes_in_the_key(override, method, parts):
    one, other = key_of(method), key_of(method, override)
    assert {f.name for f in fields(BaselineKey) if getattr(one, f.name) != getattr(other, f.name)} == parts


def test_code_that_fits_is_part_of_the_key(needs, monkeypatch):
    """Whatever the baselines import, of ours, is under FITTERS."""
    start = [f"wardround.simulations.study.{name}" for name in ("baselines", "boosting", "descents")]
    assert not_covered(needs, start, FITTERS) == set()
    before = key_of()
    monkeypatch.setattr(code_digest, "version", lambda name: "0")
    after = key_of()
    assert after.code != before.code
    assert after == replace(before, code=after.code)


def test_a_users_own_module_is_fitted_each_time(tmp_path):
    """Its code is under no digest: an edit would not be seen."""
    federation, terms = encoded()
    own = replace(terms, model=replace(terms.model, kind="tests.own:Module", hidden=()))
    store = EntryStore(tmp_path / "cache", 1 << 20)
    kept = kept_baselines.KeptBaselines(store, federation, own, 1 << 20)
    numbers = iter(range(9))

    def fit():
        return np.full(3, float(next(numbers)))

    assert kept.find_or_fit("pooled", fit)[0] != kept.find_or_fit("pooled", fit)[0]
    assert kept.find_or_fit("pooled_boosting", fit)[0] == kept.find_or_fit("pooled_boosting", fit)[0]


def test_runs_that_begin_together_fit_a_baseline_once(tmp_path):
    federation, terms = encoded()
    store = EntryStore(tmp_path / "cache", 1 << 20)
    both, fitted = Barrier(2, timeout=30), []

    def fit():
        fitted.append(1)
        sleep(0.2)  # the other one has asked by then
        return np.arange(3.0)

    def ask(_):
        both.wait()
        return kept_baselines.KeptBaselines(store, federation, terms, 1 << 20).find_or_fit("pooled", fit)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(ask, range(2))
    assert one.tobytes() == other.tobytes()
    assert len(fitted) == 1
    assert not list(tmp_path.glob("cache/*/*.lock"))


def test_where_nothing_can_be_locked_baselines_are_fitted(tmp_path):
    federation, terms = encoded()
    (tmp_path / "cache").write_text("a file in the place of the folder")
    kept = kept_baselines.KeptBaselines(EntryStore(tmp_path / "cache", 1 << 20), federation, terms, 1 << 20)
    assert kept.find_or_fit("pooled", lambda: np.ones(3)).sum() == 3


WRITER = """
import json, sys
from pathlib import Path
import numpy as np
from wardround.simulations.federation.entry_store import StoredArrays, EntryStore
store = EntryStore(Path(sys.argv[1]), 40_000)
for turn in range(60):
    key = {"turn": turn % 7}
    found = store.find("baseline", key)
    assert found is None or (found.arrays["a"] == turn % 7).all()
    store.keep("baseline", key, StoredArrays({"a": np.full(1000, float(turn % 7))}))
print(json.dumps(sorted(path.name for path in Path(sys.argv[1]).glob("*/.*.part"))))
"""


def test_processes_share_a_folder_and_its_bound(tmp_path):
    """Three processes find, write and make room in one folder: nothing raises, nothing half-written is read."""

    def run(_):
        return subprocess.run(
            [sys.executable, "-c", WRITER, tmp_path], check=True, capture_output=True, timeout=60
        )

    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(run, range(3)))
    assert [one.returncode for one in ended] == [0, 0, 0]
    assert json.loads(ended[-1].stdout) is not None
    left = [path for kind in KINDS for path in Path(tmp_path).glob(f"{kind}/*")]
    assert left
    # Each makes room before it names its own file: two more than the bound may stand there for a moment.
    assert sum(path.stat().st_size for path in left) <= 40_000 + 2 * 9_000
