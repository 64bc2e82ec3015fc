"""After a breach of its signing key a hospital begins a new ledger, which starts with all that was ever spent.

The steps are those of ``docs/years.md``, by commands and copies of files alone.
"""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.client.ledger.test_ledger_backup import run
from tests.client.small_hospital import Hospital
from wardround.client.home.home import load_home
from wardround.protocol.errors import LedgerError
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.protocol.wire.signing import new_key, save_key

STAYS = (
    "hospital.yaml",
    "policy.yaml",
    "terms",
    "keys/patients.key",
    "messages.csv",
    "patients.csv",
    "consents.csv",
)


@pytest.fixture
def old(approved: Any) -> Any:
    """A hospital after two rounds; held: the head that its operator holds."""
    (approved.folder / "terms").mkdir()
    save_terms(sign_terms(approved.terms, approved.operator), approved.folder / "terms/tea.terms")
    for number in (1, 2):
        approved.held = approved.released(number).release.ledger_head
    return approved


def begun_anew(old: Any, folder: Path) -> Any:
    """A home with a new signing key, into which only what years.md names was copied."""
    home = Hospital(folder, operator=old.operator)
    for name in STAYS:
        source, target = old.folder / name, folder / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    home.begin_ledger(datetime.now(UTC) - timedelta(seconds=5))
    return home


def test_the_new_ledger_starts_with_all_that_was_spent(old: Any, tmp_path: Path, terms_with: Any) -> None:
    before, held = old.epsilon, old.held
    new = begun_anew(old, tmp_path / "anew")
    assert new.key.public != old.key.public
    # Forgotten so far: the operator, who names what it holds, is refused until a person enters it.
    assert new.epsilon == 0
    new.approve()
    assert new.clause(3, ledger_head=held) == "ledger_head"
    why = ("--reason", "the signing key was stolen", "--person", "officer", "--yes", "--no-other-studies")
    assert run(new, "ledger", "recover", "--head", held, *why) == 0
    assert new.epsilon >= before
    new.approve()
    assert new.clause(3, ledger_head=held) == "answered"  # the old study ends here
    another = terms_with(study="coffee", training={"rounds": 6}, noise_multiplier=20.0)
    new.approve(another)
    charged = new.epsilon
    new.released(1, another, ledger_head=held)
    assert new.epsilon > charged
    new.stop()


def test_without_terms_of_what_ran_all_is_spent(old: Any, tmp_path: Path) -> None:
    new = begun_anew(old, tmp_path / "anew")
    shutil.rmtree(new.folder / "terms")
    assert (
        run(new, "ledger", "recover", "--head", old.held, "--reason", "x", "--person", "officer", "--yes")
        == 0
    )
    assert new.epsilon > 5.0  # the policy's cap for life
    new.stop()


def test_a_key_that_is_exchanged_in_place_opens_no_ledger(old: Any) -> None:
    old.stop()
    (old.folder / "keys/hospital.key").unlink()
    (old.folder / "keys/hospital.key.pub").unlink(missing_ok=True)
    save_key(new_key(), old.folder / "keys/hospital.key")
    with pytest.raises(LedgerError, match="is not signed by this hospital's key"):
        load_home(old.folder).open_ledger()
