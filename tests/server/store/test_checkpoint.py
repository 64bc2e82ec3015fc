"""Checkpoints: the same state back, whatever byte is damaged, whenever the writer dies."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wardround.protocol import plugins
from wardround.protocol.errors import ConfigurationError
from wardround.server.algorithm import rounds
from wardround.server.store import checkpoint


def advance(terms, make_release, count):
    state = rounds.init(terms)
    states = [state]
    for step in range(count):
        releases = [make_release(plan, np.full(6, step + 1)) for plan in rounds.plans(state, terms)]
        state, _ = rounds.apply(state, terms, releases)
        states.append(state)
    return states


def assert_same(one, other):
    assert (one.study, one.terms_fingerprint, one.round) == (
        other.study,
        other.terms_fingerprint,
        other.round,
    )
    assert dict(one.ledger_heads) == dict(other.ledger_heads)
    assert (one.optimizer.steps, one.tail.count) == (other.optimizer.steps, other.tail.count)
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.optimizer.first_moment, other.optimizer.first_moment)
    np.testing.assert_array_equal(one.optimizer.second_moment, other.optimizer.second_moment)
    np.testing.assert_array_equal(one.optimizer.mean_row, other.optimizer.mean_row)
    np.testing.assert_array_equal(one.optimizer.factors, other.optimizer.factors)
    assert one.optimizer.row_count == other.optimizer.row_count
    np.testing.assert_array_equal(one.tail.mean, other.tail.mean)
    assert one.optimizer.own.keys() == other.optimizer.own.keys()
    for name, array in one.optimizer.own.items():
        np.testing.assert_array_equal(array, other.optimizer.own[name])


class HeavyBall:
    """A user's own optimiser whose next step depends on what it keeps."""

    def init(self, parameters):
        return {"velocity": np.zeros(parameters)}

    def apply(self, state, weights, gradient, learning_rate):
        velocity = 0.5 * state["velocity"] + gradient
        return {"velocity": velocity}, weights - learning_rate * velocity


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "newton", "newton, noise by round", "heavy_ball"])
def test_a_study_goes_on_as_if_never_stopped(optimizer, tmp_path, make_terms, make_release, monkeypatch):
    monkeypatch.setattr(plugins, "_known", {})
    plugins.enter("optimizer", HeavyBall, "heavy_ball")
    name, _, by_round = optimizer.partition(", ")
    moment_rounds = 1 if name == "newton" else 0
    terms = make_terms(optimizer=name, learning_rate=0.1, moment_rounds=moment_rounds)
    if by_round:
        privacy, each = replace(terms.privacy, schedule="weighted"), (4.0, 6.0, 5.0, 4.0)
        terms = replace(terms, privacy=privacy, noise_multiplier=4.0, round_noise_multipliers=each)
    states = advance(terms, make_release, 4)
    for state in states[:3]:
        checkpoint.save_state(tmp_path, state)
    resumed = checkpoint.resume(tmp_path, terms)
    assert_same(resumed.state, states[2])
    assert resumed.notes == resumed.lost_rounds == ()
    state = resumed.state
    for step in (2, 3):
        releases = [make_release(plan, np.full(6, step + 1)) for plan in rounds.plans(state, terms)]
        state, _ = rounds.apply(state, terms, releases)
    assert_same(state, states[4])
    assert (len(state.optimizer.factors) > 0) == bool(by_round)


def test_a_checkpoint_of_an_earlier_version_says_nothing_of_factors(tmp_path, make_terms, monkeypatch):
    state, save = rounds.init(make_terms()), checkpoint.save
    older = {"factors"}
    monkeypatch.setattr(
        checkpoint,
        "save",
        lambda tensors, **given: save({k: v for k, v in tensors.items() if k not in older}, **given),
    )
    checkpoint.save_state(tmp_path, state)
    assert_same(checkpoint.resume(tmp_path, make_terms()).state, state)


def test_nothing_to_resume(tmp_path, make_terms):
    assert checkpoint.resume(tmp_path / "absent", make_terms()) is None
    assert checkpoint.resume(tmp_path, make_terms()) is None


def test_only_the_newest_are_kept(tmp_path, make_terms, make_release):
    for state in advance(make_terms(), make_release, 4):
        checkpoint.save_state(tmp_path, state)
    assert sorted(path.name[:12] for path in tmp_path.iterdir()) == [
        "round-000003",
        "round-000004",
        "round-000005",
    ]


def test_a_state_has_one_name_however_often_it_is_saved(tmp_path, make_terms):
    assert len({checkpoint.save_state(tmp_path, rounds.init(make_terms())) for _ in range(20)}) == 1


def damage(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_any_damaged_byte_is_found(tmp_path, make_terms, make_release):
    terms = make_terms()
    path = checkpoint.save_state(tmp_path, advance(terms, make_release, 1)[1])
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        damage(path, position)
        with pytest.raises(ConfigurationError, match="all 1 checkpoints"):
            checkpoint.resume(tmp_path, terms)
        path.write_bytes(content)
    path.write_bytes(content[:-1])
    with pytest.raises(ConfigurationError, match="damaged"):
        checkpoint.resume(tmp_path, terms)


def test_a_damaged_newest_falls_back_to_a_round_never_announced(tmp_path, make_terms, make_release):
    terms = make_terms(rounds=6)
    states = advance(terms, make_release, 3)
    for state in states[1:]:
        path = checkpoint.save_state(tmp_path, state)
    damage(path, 500)
    resumed = checkpoint.resume(tmp_path, terms)
    assert resumed.lost_rounds == (3, 4)
    assert resumed.state.round == 5
    np.testing.assert_array_equal(resumed.state.weights, states[2].weights)
    assert "damaged" in resumed.notes[0]
    assert "rounds 3 to 4 are lost" in resumed.notes[1]


def unreadable(monkeypatch, path, number):
    """Let reading one file fail, as for who has no right to it, or whose disk fails there."""
    read = Path.read_bytes

    def refused(self):
        if self == path:
            raise OSError(number, os.strerror(number), str(path))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", refused)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE])
def test_a_state_that_cannot_be_read_now_is_not_damaged(
    number, tmp_path, make_terms, make_release, monkeypatch
):
    """Given up as lost, its rounds would be charged at every hospital and in no weights, for a missing right."""
    terms = make_terms(rounds=6)
    for state in advance(terms, make_release, 3):
        path = checkpoint.save_state(tmp_path, state)
    with monkeypatch.context() as during:
        unreadable(during, path, number)
        with pytest.raises(ConfigurationError, match="and is not damaged; put that right"):
            checkpoint.resume(tmp_path, terms)
    assert checkpoint.resume(tmp_path, terms).lost_rounds == ()


def test_a_state_that_the_disk_lost_is_damaged(tmp_path, make_terms, make_release, monkeypatch):
    terms = make_terms(rounds=6)
    for state in advance(terms, make_release, 3):
        path = checkpoint.save_state(tmp_path, state)
    unreadable(monkeypatch, path, errno.EIO)
    assert checkpoint.resume(tmp_path, terms).lost_rounds == (3, 4)


def test_a_damaged_last_state_ends_the_study(tmp_path, make_terms, make_release):
    terms = make_terms()
    for state in advance(terms, make_release, 4):
        path = checkpoint.save_state(tmp_path, state)
    damage(path, 500)
    resumed = checkpoint.resume(tmp_path, terms)
    assert resumed.lost_rounds == (4,)
    assert rounds.finished(resumed.state, terms)
    assert resumed.state.round == terms.training.rounds + 1  # so its evaluation is still due


def test_other_terms_are_refused(tmp_path, make_terms):
    checkpoint.save_state(tmp_path, rounds.init(make_terms()))
    with pytest.raises(ConfigurationError, match="other terms"):
        checkpoint.resume(tmp_path, make_terms(rounds=9))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_one_before(call, tmp_path, make_terms, make_release, monkeypatch):
    terms = make_terms()
    before, after = advance(terms, make_release, 1)
    checkpoint.save_state(tmp_path, before)

    def crash(*_):
        raise OSError("disk full")

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (checkpoint.Path, "replace")), crash)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save_state(tmp_path, after)
    monkeypatch.undo()
    assert_same(checkpoint.resume(tmp_path, terms).state, before)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_leftover_of_a_killed_writer_is_ignored(tmp_path, make_terms):
    terms = make_terms()
    state = rounds.init(terms)
    path = checkpoint.save_state(tmp_path, state)
    (tmp_path / "round-000002-0.part").write_bytes(b"half")
    assert_same(checkpoint.resume(tmp_path, terms).state, state)
    checkpoint.save_state(tmp_path, replace(state, round=2))
    assert path.exists()


def test_the_name_is_no_way_around_the_check(tmp_path, make_terms):
    terms = make_terms()
    path = checkpoint.save_state(tmp_path, rounds.init(terms))
    path.rename(tmp_path / f"round-000003-{'0' * 64}.safetensors")
    with pytest.raises(ConfigurationError, match="damaged"):
        checkpoint.resume(tmp_path, terms)
