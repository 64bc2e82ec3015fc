"""Round states on disk: atomic, durable, self-checking, without pickle.

One safetensors file per round holds the arrays, with the rest as JSON in its header (``server.store.state_file``);
its round is the one that is announced next.

A study writes each round's state before the round is announced. Then a server that is killed at any time
asks again with the same round and weights, and by the hospitals' repeat rule the retry is free.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_durably
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.file_header import LARGEST_METADATA, metadata_of
from wardround.protocol.text.form import newer_form
from wardround.protocol.text.plain import read_json
from wardround.server.algorithm.optimize import OptimizerState, TailAverage
from wardround.server.algorithm.rounds import RoundState, skip_to
from wardround.server.store.state_file import read_state, state_files, write_state

KEPT = 3  # newest checkpoints that stay on disk
_FORMAT = "wardround-round-state-2"
_GIVEN_UP = "0" * 64  # in the place of a digest: no content has this one
_OWN = "own."  # before the names of what a plugin keeps


@dataclass(frozen=True, kw_only=True, eq=False)
class Resumed:
    """The state to go on with; lost_rounds may have been charged, but their results are gone.

    notes are lines for the operator, empty where all is well.
    """

    state: RoundState
    lost_rounds: tuple[int, ...]
    notes: tuple[str, ...]


def save_state(folder: Path, state: RoundState) -> Path:
    """Write one state durably, drop all but the newest KEPT, and give the file's path.

    Guarantee: when this returns the state survives a crash of the machine; a crash on the way leaves the
    files before it as they were. OSError (disk full, read-only) leaves them so too.
    """
    path = write_state(folder, state.round, _encode(state))
    # Only now that the new one is durable: at every moment a whole state is on disk.
    for _, old in state_files(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def resume(folder: Path, terms: Terms) -> Resumed | None:
    """Find the newest whole state of these terms; None where the folder holds no checkpoint at all.

    Where newer files are damaged, the study goes on at the first round that cannot have been announced, since
    a hospital refuses other weights for a round that it has answered. ConfigurationError where every
    checkpoint is damaged, where they belong to other terms, or where a newer release wrote one.
    """
    files = state_files(folder) if folder.is_dir() else []
    given_up = max((number for number, path in files if _is_given_up(path)), default=0)
    notes: list[str] = []
    for number, path in files:
        if _is_given_up(path):
            continue
        state = _read(path)
        if state is None:
            notes.append(f"checkpoint {path.name} is damaged: falling back to the one before")
            continue
        if state.terms_fingerprint != terms.fingerprint:
            raise ConfigurationError(
                f"checkpoints in {folder} belong to other terms of study {state.study!r}: resume with "
                "its own terms, or choose an empty folder"
            )
        newest = files[0][0]
        if newest == number > given_up:
            return Resumed(state=state, lost_rounds=(), notes=tuple(notes))
        lost = tuple(range(state.round, min(newest, terms.last_round) + 1))
        notes.append(f"rounds {lost[0]} to {lost[-1]} are lost: charged at the hospitals, not in the weights")
        # Past the last round nothing was announced yet but an evaluation, and that stands in the log.
        onward = min(newest, terms.last_round) + 1
        onward_state = skip_to(state, onward, spare=terms.secure_sum is not None)
        return Resumed(state=onward_state, lost_rounds=lost, notes=tuple(notes))
    if files:
        raise ConfigurationError(
            f"all {len(files)} checkpoints in {folder} are damaged: restore one, or start anew"
        )
    return None


def give_up(folder: Path, round_number: int) -> None:
    """Note, durably, that all rounds to this one were announced, and that what is here is older: never ask them again.

    For a folder that comes from a backup. ``resume`` goes on after them, as after damaged checkpoints.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / f"round-{round_number:06d}-{_GIVEN_UP}.safetensors", b"")


def _is_given_up(path: Path) -> bool:
    return path.stem.endswith(_GIVEN_UP)


def _encode(state: RoundState) -> bytes:
    tensors = {
        "weights": state.weights,
        "first_moment": state.optimizer.first_moment,
        "second_moment": state.optimizer.second_moment,
        "mean_row": state.optimizer.mean_row,
        "factors": state.optimizer.factors,
        "tail_mean": state.tail.mean,
        **{f"{_OWN}{name}": array for name, array in state.optimizer.own.items()},
    }
    plain = {
        "study": state.study,
        "terms_fingerprint": state.terms_fingerprint,
        "round": state.round,
        "optimizer_steps": state.optimizer.steps,
        "row_count": state.optimizer.row_count,
        "tail_count": state.tail.count,
        "void": list(state.void),
        "ledger_heads": dict(state.ledger_heads),
    }
    # One key: safetensors writes several in any order, and one state must have one name on disk.
    return save(tensors, metadata={_FORMAT: canonical_json(plain).decode()})


def _decode(content: bytes) -> RoundState:
    tensors = load(content)
    plain = read_json(metadata_of(content)[_FORMAT].encode(), LARGEST_METADATA)
    return RoundState(
        study=plain["study"],
        terms_fingerprint=plain["terms_fingerprint"],
        round=plain["round"],
        weights=tensors["weights"],
        optimizer=OptimizerState(
            first_moment=tensors["first_moment"],
            second_moment=tensors["second_moment"],
            steps=plain["optimizer_steps"],
            mean_row=tensors["mean_row"],
            row_count=plain["row_count"],
            # A study that an earlier version began has none.
            factors=tensors.get("factors", np.zeros(0)),
            own={name.removeprefix(_OWN): a for name, a in tensors.items() if name.startswith(_OWN)},
        ),
        tail=TailAverage(mean=tensors["tail_mean"], count=plain["tail_count"]),
        ledger_heads=plain["ledger_heads"],
        # Studies that were begun before there were secure sums have none.
        void=tuple(plain.get("void", ())),
    )


def _read(path: Path) -> RoundState | None:
    try:
        content = read_state(path)
        if content is None:
            return None
        # Not damaged: to fall back to the one before would give up rounds that the newer release can go on from.
        for newer in filter(None, (newer_form(name, _FORMAT) for name in metadata_of(content))):
            raise ConfigurationError(f"checkpoint={path}: {newer}")
        return _decode(content)
    except (ValueError, KeyError, TypeError, SafetensorError):
        return None
