"""What release 0.1.0 left of a study in the middle (``tests/release_0_1_0``), under today's programs.

No ε is forgotten; what cannot go on says why in one line, with exit code 2, and writes nothing.
"""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.release_0_1_0.home import unpack
from wardround.client.home.home import load_home
from wardround.client.ledger.budget import Caps, Charge
from wardround.client.ledger.sqlite import open_ledger
from wardround.client.main import main as hospital
from wardround.client.network.supernode import node_public_key
from wardround.protocol.errors import MessageError, Refusal
from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.protocol.wire.envelope import answering_speaker
from wardround.protocol.wire.kit import sign_join_request
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signing import load_key, new_key
from wardround.protocol.wire.speaker import this_speaker
from wardround.server.main import main as serve
from wardround.server.store.backup import back_up
from wardround.server.store.operator_home import load_operator_home

EPSILON = 0.6841  # what 0.1.0 itself said of its two rounds
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The folder with what 0.1.0 left."""
    return unpack(tmp_path / "left")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command of either side; its code and what it said."""

    def command(program: str, *words: object) -> tuple[int, str, str]:
        given = [str(word) for word in words]
        monkeypatch.setattr("sys.argv", [program, *given])
        code = hospital(given) if program == "hospital" else serve()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, " ".join(said.out.split()), said.err.rstrip("\n")

    return command


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def allow_nothing(home: Path) -> None:
    """Write what the line about the policy asks for."""
    policy = home / "policy.yaml"
    policy.write_text(policy.read_text().replace("contracts: [synthetic]", "contracts: []"))


def test_the_ledger_opens_with_all_that_was_spent_and_its_head_is_kept_outside(left: Path) -> None:
    ledger = load_home(left / "north").open_ledger()
    assert [entry.kind for entry in ledger.entries()] == ["note", "approved", *["charged", "released"] * 2]
    assert ledger.spent("training", 1e-5) == pytest.approx(EPSILON, abs=5e-5)
    assert json.loads((left / "north/ledger.head").read_text())["hash"] == ledger.head
    ledger.close()


def test_what_0_1_0_charged_is_composed_with_what_is_charged_now(left: Path) -> None:
    home = load_home(left / "north")
    ledger, now = home.open_ledger(), datetime.now(UTC)
    (before,) = {entry.fields["operator"] for entry in ledger.entries() if entry.kind == "charged"}
    event = PrivacyEvent(noise_multiplier=8.0, sampling_rate=1.0, count=1)

    def charge(number: int) -> Charge:
        return Charge(operator=str(before), study="new", terms="ab" * 32, round=number, weights_digest="cd" * 32,
                      account="training", event=event)  # fmt: skip

    ledger.charge(charge(1), Caps(delta=1e-5, life=2.0), now)
    alone = ledger.spent("training", 1e-5, study="new", operator=str(before))
    both = ledger.spent("training", 1e-5)
    assert EPSILON < both < EPSILON + alone
    with pytest.raises(Refusal, match="for_life"):
        ledger.charge(charge(2), Caps(delta=1e-5, life=EPSILON), now)
    ledger.close()


def test_whoever_cuts_the_ledger_of_0_1_0_after_the_upgrade_is_found(left: Path) -> None:
    older = shutil.copytree(left / "north", left / "older")
    load_home(left / "north").open_ledger().close()
    (left / "north/ledger.head").rename(left / "older/ledger.head")
    import sqlite3

    with sqlite3.connect(older / "ledger.sqlite") as database:
        database.execute("DROP TRIGGER never_deleted")
        database.execute("DELETE FROM entries WHERE sequence > 4")
    database.close()
    with pytest.raises(Exception, match="holds 4 entries and not number 6"):
        open_ledger(older / "ledger.sqlite", load_key(older / "keys/hospital.key"), "test")


def test_the_record_is_read_and_copied_before_the_policy_is_mended(left: Path, run: Run) -> None:
    home = ("--home", left / "north")
    code, out, _ = run("hospital", "ledger", "verify", *home)
    assert (code, "ε 0.684146 composed over the training account" in out) == (0, True)
    assert run("hospital", "ledger", "show", *home)[0] == 0
    assert run("hospital", "ledger", "backup", left / "ledger.backup", *home)[0] == 0
    assert run("hospital", "ledger", "export", left / "export", *home)[0] == 0
    key = (left / "operator/operator.key.pub").read_text().strip()
    assert run("hospital", "operators", "revoke", key, "--reason", "stolen", *home)[0] == 0
    code, out, err = run("hospital", "status", *home)
    assert (code, out) == (2, "")
    assert err.startswith(
        "policy.contracts=synthetic: must be a fingerprint of 64 hexadecimal digits; write [] there"
    )


def test_status_shows_what_0_1_0_spent(left: Path, run: Run) -> None:
    allow_nothing(left / "north")
    code, out, _ = run("hospital", "status", "--json", "--home", left / "north")
    (life,) = [
        row
        for row in json.loads(out)["budget"]
        if row["scope"] == "for life" and row["account"] == "training"
    ]
    assert (code, round(life["spent"], 4)) == (0, EPSILON)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("forecast", "operator/studies/tea/study.terms"),
            "terms: is of an earlier version; ask the operator",
        ),
        (
            ("join", "kits/north.kit", "--fingerprint", "x"),
            "kit=kits/north.kit: is of an earlier version; ask the",
        ),
    ],
)
def test_what_0_1_0_signed_is_one_line_at_a_hospital(
    words: tuple[str, ...], line: str, left: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(left)
    allow_nothing(left / "north")
    load_home(left / "north").open_ledger().close()  # its head is written once
    before = files_in(left)
    code, out, err = run("hospital", *words, "--home", left / "north")
    assert (code, out, err.startswith(line)) == (2, "", True), err
    assert files_in(left) == before


TEA = (
    "study=tea: its terms are of an earlier release, in a form that this one does not read: that release can end the "
    "study; what hospitals charged stays charged; for a new study choose another name"
)
OPERATORS = {
    "resume": (("resume", "--study=tea"), TEA),
    "train": (("train", "--study=tea", "training.public_patients={north: 200}"), TEA),
    "forecast": (("forecast", "--study=tea"), TEA),
    "approve": (("approve", "--study=tea", "--person=a", "--reason=b"), TEA),
    "recall": (("recall", "--study=tea", "--person=a", "--reason=b"), TEA),
    "enrol": (
        ("enrol", "--request=north/north.request", "--fingerprint=x"),
        "request=north/north.request: is of an earlier version; ask the hospital for the file again",
    ),
    "provision": (
        ("provision", "--hospital=north", "--out=kits"),
        "kit=kits/north.kit: exists already, of an earlier release; remove it, or choose another --out",
    ),
}


@pytest.mark.parametrize("word", OPERATORS)
def test_what_0_1_0_signed_is_one_line_at_the_operator(
    word: str, left: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(left)
    before = files_in(left)
    words, line = OPERATORS[word]
    code, out, err = run("serve", *words, "--home=operator")
    assert (code, out, (err.partition("ERROR ")[2] or err).strip('"')) == (2, "", line)
    assert files_in(left) == before


def ask_to_join(folder: Path, name: str) -> tuple[str, str]:
    asked = sign_join_request(name, node_public_key(folder / f"{name}.node"), new_key())
    save_signed(asked, folder / f"{name}.request")
    return f"--request={folder / name}.request", f"--fingerprint={asked.fingerprint}"


def test_a_hospital_of_0_1_0_keeps_no_other_out_and_comes_back_by_telephone(left: Path, run: Run) -> None:
    home = f"--home={left / 'operator'}"
    code, out, _ = run("serve", "status", home)
    path = left / "operator/hospitals/north.json"
    assert (code, f"north: not enrolled: request={path}: is of an earlier version" in out) == (0, True)
    assert run("serve", "enrol", *ask_to_join(left, "south"), home)[0] == 0
    again = ask_to_join(left, "north")
    code, _, err = run("serve", "enrol", *again, home)
    assert code == 2
    assert err.endswith("wardround-serve revoke --hospital north, then enrol")
    assert run("serve", "revoke", "--hospital=north", home)[0] == 0
    assert run("serve", "enrol", *again, home)[0] == 0
    plain: Any = json.loads(run("serve", "status", "--json", home)[1])
    assert (list(plain["hospitals"]), plain["hospitals_unread"]) == (["north", "south"], {})


def test_a_home_with_a_study_of_0_1_0_is_backed_up_and_restored(left: Path, run: Run) -> None:
    """Else no backup of a home that ever served 0.1.0 could be put back."""
    back_up(load_operator_home(left / "operator"), left / "op.backup", datetime.now(UTC))
    assert run("serve", "restore", left / "op.backup", "--home", left / "elsewhere")[0] == 0
    restored = files_in(left / "elsewhere/studies")
    assert len(restored) == len(files_in(left / "operator/studies")) > 3


def test_a_message_of_0_1_0_says_so(left: Path) -> None:
    line = f"a message of release 0.1.0, too old for {this_speaker()}: upgrade who sent it"
    for name in ("request.bin", "answer.bin"):
        with pytest.raises(MessageError) as told:
            answering_speaker((left / name).read_bytes())
        assert str(told.value) == line
