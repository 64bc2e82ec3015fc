"""Put a backup of an operator's home in its place, and never behind what is known of the hospitals' ledgers.

In order, so that a kill at any step loses nothing: the backup is written out under STAGING and verified; what is
checked is checked; what stood in the home is moved to ``aside1`` (or the next free number), ``operator.json``
first; the backup's files take their places, ``operator.json`` last. Until then no command finds a home here, and
the same ``restore`` again completes it.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import sync_folder
from wardround.protocol.text.text import is_digest, is_name
from wardround.protocol.wire.signed_file import EarlierForm
from wardround.protocol.wire.signed_terms import load_terms
from wardround.protocol.wire.signing import load_key
from wardround.server.store.begin_home import HOME_FOLDERS
from wardround.server.store.checkpoint import give_up
from wardround.server.store.event_log import read_events
from wardround.server.store.held_heads import HeldHeads
from wardround.server.store.lock import alone, is_held
from wardround.server.store.operator_home import ASIDE, SETTINGS, STAGING, StudyFolder, is_of_restore
from wardround.server.store.read_backup import Backup, read_backup
from wardround.server.store.state_file import state_files


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was put in place.

    hospitals: enrolled again. unfinished: studies that can be resumed. aside: where what stood here is now.
    """

    backup: Backup = field(repr=False)
    hospitals: tuple[str, ...]
    unfinished: tuple[str, ...]
    aside: Path | None


def restore(folder: Path, file: Path, heads: Mapping[str, str], asked: Mapping[str, int]) -> Restored:
    """Put a backup in the place of a home that is lost, damaged or on another machine.

    heads: by hospital the newest head that its own ``status`` shows. asked: by study that had not ended the last
    round that any hospital was asked for. ConfigurationError, and nothing is changed, where the backup lacks a head
    that this home held, is another operator's, or where ``asked`` lacks a study.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(folder / ".lock", f"home={folder}: another restore is under way"):
        _refuse_running(folder)
        staged = folder / STAGING
        shutil.rmtree(staged, ignore_errors=True)
        try:
            backup = read_backup(file, staged)
            _check_heads(folder, staged)
            unfinished = _give_up_rounds(staged, asked)
            _keep_heads(staged, heads)
            for part in HOME_FOLDERS:
                (staged / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        except ConfigurationError:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        except OSError as error:
            raise ConfigurationError(
                f"home={folder}: cannot be written ({error.strerror}); nothing was changed"
            ) from error
        aside = _put_aside(folder)
        _put_in_place(staged, folder)
    hospitals = tuple(sorted(path.stem for path in (folder / "hospitals").glob("*.json")))
    return Restored(backup=backup, hospitals=hospitals, unfinished=unfinished, aside=aside)


def _refuse_running(folder: Path) -> None:
    for study in sorted((folder / "studies").glob("*")):
        if is_held(study / "lock"):
            raise ConfigurationError(
                f"study={study.name}: another process is running it; stop that one first"
            )


def _check_heads(folder: Path, staged: Path) -> None:
    """Refuse a backup that lacks what any home here knew: this one, or those that a restore has put aside."""
    operator = load_key(staged / "operator.key").public
    for home in [folder, *sorted(folder.glob(f"{ASIDE}*"))]:
        key = home / "operator.key"
        if key.exists() and load_key(key).public != operator:
            raise ConfigurationError(f"home={home}: is another operator's; restore into an empty folder")
        held, copied = HeldHeads(home / "heads"), HeldHeads(staged / "heads")
        for hospital in held.hospitals():
            newest = held.newest(hospital)
            if newest is not None and newest not in copied.known(hospital):
                raise ConfigurationError(
                    f"heads={home / 'heads'}: {hospital}'s newest head, {newest[:16]}…, is not in this backup, which "
                    "is older; restoring it would let an older ledger pass; take a newer backup, or copy "
                    f"{home / 'heads'} to a safe place, restore into an empty folder, and name it: "
                    f"--head {hospital}={newest}"
                )


def _give_up_rounds(staged: Path, asked: Mapping[str, int]) -> tuple[str, ...]:
    """Note for every study that had not ended which rounds were announced since; gives the names."""
    studies = [StudyFolder(path) for path in sorted((staged / "studies").glob("*")) if is_name(path.name)]
    unfinished = {one.folder.name: one for one in studies if _can_go_on(one)}
    for name in asked:
        if name not in unfinished:
            under_way = ", ".join(unfinished) or "none"
            raise ConfigurationError(
                f"--asked {name}: was not under way in this backup (studies: {under_way})"
            )
    for name, study in unfinished.items():
        terms, at = study.signed_terms().terms, _round_in_copy(study)
        least = min(at, terms.last_round)
        if not least <= asked.get(name, -1) <= terms.last_round:
            raise ConfigurationError(
                f"study={name}: was at round {least} when this backup was made, and may have gone on; ask each of its "
                "hospitals for its last round (wardround-hospital ledger show), and give the largest: "
                f"--asked {name}=N, from {least} to {terms.last_round}"
            )
        # The round of the copy itself: the same weights are asked again, which is a repeat. But of a secure sum
        # other survivors might answer first, and hospitals take two sets of survivors for a lie.
        first = at if terms.secure_sum is not None else at + 1
        if max(first, 1) <= asked[name]:
            give_up(study.checkpoints, asked[name])
    return tuple(unfinished)


def _can_go_on(study: StudyFolder) -> bool:
    try:
        if not study.terms.exists() or load_terms(study.terms).terms.query is not None:
            return False
    except EarlierForm:
        return False  # no release that reads this backup can ask anything under these terms
    return not any(event.get("event") == "finished" for event in read_events(study.events))


def _round_in_copy(study: StudyFolder) -> int:
    files = state_files(study.checkpoints) if study.checkpoints.is_dir() else []
    return files[0][0] if files else 0


def _keep_heads(staged: Path, heads: Mapping[str, str]) -> None:
    kept = HeldHeads(staged / "heads")
    for hospital, head in heads.items():
        if not is_digest(head):
            raise ConfigurationError(f"--head {hospital}={head[:80]}: must be 64 hexadecimal digits")
        kept.keep(hospital, head)


def _put_aside(folder: Path) -> Path | None:
    """Move what stands in the home into a folder of its own, what makes it a home first."""
    there = [path for path in folder.iterdir() if not is_of_restore(path.name) and path.name != ".lock"]
    if not there:
        return None
    aside = next(path for path in (folder / f"{ASIDE}{number}" for number in count(1)) if not path.exists())
    aside.mkdir(mode=0o700)
    for path in sorted(there, key=lambda path: path.name != SETTINGS):
        path.replace(aside / path.name)
    sync_folder(aside)
    sync_folder(folder)
    return aside


def _put_in_place(staged: Path, folder: Path) -> None:
    for path in sorted(staged.iterdir(), key=lambda path: path.name == SETTINGS):
        if path.name == SETTINGS:
            sync_folder(folder)  # all the rest is there before what makes it a home
        path.replace(folder / path.name)
    staged.rmdir()
    sync_folder(folder)
