"""``peers``: what is compared by telephone before anything is written, what is signed, taken in, refused and shown."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from wardround.client.home.home import load_home
from wardround.client.main import main
from wardround.client.policy.policy import Policy
from wardround.protocol.wire.peer_file import load_peers, sign_peers
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signing import SigningKey, key_fingerprint, new_key

Run = Callable[..., Any]
SOUTH, WEST, EAST = new_key(), new_key(), new_key()
NOW = datetime.now(UTC)


@pytest.fixture
def run(hospital, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command; give its exit code, its JSON (or text) and its line on standard error."""

    def command(*arguments: object, plain: bool = False) -> tuple[int, Any, str]:
        code = main(
            ["peers", *map(str, arguments), "--home", str(hospital.folder), *([] if plain else ["--json"])]
        )
        printed = capsys.readouterr()
        return code, printed.out if plain or not printed.out else json.loads(printed.out), printed.err

    return command


def policy_of(hospital) -> Policy:
    home = load_home(hospital.folder)
    return home.in_force(home.policy.current())


def peer_file(path: Path, name: str, key: SigningKey, days: float = 0, **peers: str) -> Path:
    path.unlink(missing_ok=True)
    save_signed(sign_peers(name, peers, NOW + timedelta(days=days), key), path)
    return path


def told(key: SigningKey) -> tuple[str, str]:
    return "--fingerprint", key_fingerprint(key.public)


def test_a_peer_is_added_by_its_file_once_its_fingerprint_was_compared(
    hospital, run: Run, tmp_path: Path
) -> None:
    file = peer_file(tmp_path / "south.peers", "south", SOUTH, west=WEST.public)
    before = (hospital.folder / "policy.yaml").read_bytes()
    code, _, line = run("add", file)
    assert code == 2
    assert "nobody is at the terminal" in line
    assert key_fingerprint(SOUTH.public) not in line  # whoever copies it from there compared it with nobody
    code, _, line = run("add", file, *told(WEST))
    assert code == 2
    assert (hospital.folder / "policy.yaml").read_bytes() == before
    code, said, _ = run("add", file, *told(SOUTH))
    assert (code, said["peer"], said["vouches_for"]) == (0, "south", 1)
    policy = policy_of(hospital)
    assert policy.peer_keys == {"south": SOUTH.public}
    assert policy.peers["south"].since == datetime.now(UTC).date().isoformat()
    # Its vouchers are taken in with it.
    assert [dict(one.peers) for one in policy.vouchers] == [{"west": WEST.public}]


def test_a_peer_is_added_by_name_and_key_and_all_else_of_the_policy_stays(
    hospital, run: Run, tmp_path: Path
) -> None:
    before = (hospital.folder / "policy.yaml").read_text()
    assert run("add", "south", SOUTH.public, *told(SOUTH))[0] == 0
    (tmp_path / "west.pub").write_text(f"{WEST.public}\n")
    assert run("add", "west", tmp_path / "west.pub", *told(WEST))[0] == 0
    assert (hospital.folder / "policy.yaml").read_text().startswith(before.rstrip())
    assert policy_of(hospital).peer_keys == {"south": SOUTH.public, "west": WEST.public}
    assert run("remove", "west")[1] == {"removed": "west"}
    assert run("remove", "south")[0] == 0
    assert policy_of(hospital).peers == {}


def test_a_person_is_asked_and_anything_but_yes_adds_nobody(
    hospital, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal:
        def __init__(self, typed: str) -> None:
            self.typed = typed

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return self.typed

    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    code, _, line = run("add", "south", SOUTH.public)
    assert code == 2
    assert key_fingerprint(SOUTH.public) in line
    assert policy_of(hospital).peers == {}
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    assert run("add", "south", SOUTH.public)[0] == 0
    assert policy_of(hospital).peer_keys == {"south": SOUTH.public}


@pytest.mark.parametrize(
    ("name", "key", "says"),
    [
        ("south", SOUTH.public, "is a peer already"),
        ("south", WEST.public, "is known with another key"),
        ("klinik", SOUTH.public, "its key is south's"),
        ("north", WEST.public, "is known with another key"),
        ("../x", WEST.public, "must be letters"),
        ("weak", "ed25519:" + "A" * 43, "small order"),
        ("short", "ed25519:AAAA", "not a public key"),
        ("file", "/nowhere/key.pub", "cannot be read"),
    ],
    # Keys are drawn anew in each process, and would be part of a test's name.
    ids=["twice", "other_key", "other_name", "own_key", "path", "small_order", "short", "no_file"],
)
def test_equal_copied_and_weak_keys_are_refused(hospital, run: Run, name: str, key: str, says: str) -> None:
    assert run("add", "south", SOUTH.public, *told(SOUTH))[0] == 0
    before = (hospital.folder / "policy.yaml").read_bytes()
    code, _, line = run("add", name, key, "--fingerprint", "0")
    assert code == 2
    assert says in line
    assert line.count("\n") == 1
    assert (hospital.folder / "policy.yaml").read_bytes() == before


def test_an_operators_key_is_no_hospitals(hospital, run: Run) -> None:
    code, _, line = run("add", "south", hospital.operator.public, *told(hospital.operator))
    assert code == 2
    assert "is an operator's" in line
    assert policy_of(hospital).peers == {}


def test_this_hospitals_own_key_is_nobody_elses(hospital, run: Run) -> None:
    own = load_home(hospital.folder).key
    for name, says in (("north", "is this hospital itself"), ("south", "its key is north's")):
        code, _, line = run("add", name, own.public, *told(own))
        assert code == 2
        assert says in line


def test_what_is_signed_holds_this_hospital_and_its_peers_and_nobody_known_by_vouchers(
    hospital, run: Run, tmp_path: Path
) -> None:
    file = peer_file(tmp_path / "south.peers", "south", SOUTH, west=WEST.public)
    assert run("add", file, *told(SOUTH))[0] == 0
    assert run("sign", tmp_path / "north.peers")[0] == 0
    signed = load_peers(tmp_path / "north.peers")
    assert (signed.hospital, signed.signing_key) == ("north", hospital.key.public)
    assert dict(signed.peers) == {"south": SOUTH.public}
    assert run("sign", tmp_path / "north.peers")[0] == 2  # never overwritten


def test_only_a_peers_file_is_taken_in(hospital, run: Run, tmp_path: Path) -> None:
    file = peer_file(tmp_path / "south.peers", "south", SOUTH, west=WEST.public)
    code, _, line = run("import", file)
    assert code == 2
    assert "no peer's of that name" in line
    assert not (hospital.folder / "peers").exists()
    assert run("add", "south", SOUTH.public, *told(SOUTH))[0] == 0
    assert run("import", file)[1]["vouches_for"] == {"west": WEST.public}
    # south's key under another name, another's key under south's name, and this hospital's own file.
    renamed = peer_file(tmp_path / "other.peers", "klinik", SOUTH)
    forged = peer_file(tmp_path / "forged.peers", "south", EAST, west=WEST.public)
    own = peer_file(tmp_path / "own.peers", "north", hospital.key)
    altered = tmp_path / "altered.peers"
    altered.write_bytes(file.read_bytes().replace(b'"west"', b'"east"'))
    for spoilt in (renamed, forged, own, altered):
        assert run("import", spoilt)[0] == 2
    assert len(list((hospital.folder / "peers").iterdir())) == 1


def test_an_older_file_of_a_signer_does_not_come_back(hospital, run: Run, tmp_path: Path) -> None:
    """south removed west and signed anew; who carries files would like the older one back."""
    older = peer_file(tmp_path / "older.peers", "south", SOUTH, days=-2, west=WEST.public)
    newer = peer_file(tmp_path / "newer.peers", "south", SOUTH, days=-1)
    assert run("add", "south", SOUTH.public, *told(SOUTH))[0] == 0
    assert run("import", older)[0] == 0
    assert run("import", newer)[0] == 0
    code, _, line = run("import", older)
    assert code == 2
    assert "is here already" in line
    assert run("import", newer)[0] == 0  # the same file again changes nothing
    twin = peer_file(tmp_path / "twin.peers", "south", SOUTH, days=-1, west=WEST.public)
    assert run("import", twin)[0] == 2
    assert [dict(one.peers) for one in policy_of(hospital).vouchers] == [{}]
    # Nor by the way round of removing the signer and adding it again.
    assert run("remove", "south")[0] == 0
    assert run("add", older, *told(SOUTH))[0] == 2
    assert policy_of(hospital).peers == {}
    assert run("add", "south", SOUTH.public, *told(SOUTH))[0] == 0
    assert [dict(one.peers) for one in policy_of(hospital).vouchers] == [{}]


def test_a_file_of_tomorrow_is_refused(hospital, run: Run, tmp_path: Path) -> None:
    file = peer_file(tmp_path / "south.peers", "south", SOUTH, days=3)
    assert run("add", file, *told(SOUTH))[0] == 2
    assert policy_of(hospital).peers == {}


def test_the_list_shows_fingerprints_vouchers_and_contradictions(hospital, run: Run, tmp_path: Path) -> None:
    for name, key, others in (
        ("south", SOUTH, {"east": EAST.public}),
        ("west", WEST, {"east": new_key().public, "south": SOUTH.public}),
    ):
        file = peer_file(tmp_path / f"{name}.peers", name, key, **others)
        assert run("add", file, *told(key))[0] == 0
    (hospital.folder / "peers" / "broken.peers").write_text("x")
    code, said, _ = run("list")
    assert code == 0
    assert said["this_hospital"]["fingerprint"] == key_fingerprint(hospital.key.public)
    rows = {(row["name"], row["key"]): row for row in said["peers"]}
    assert rows["south", SOUTH.public]["vouched_by"] == 1
    assert rows["south", SOUTH.public]["vouches"] == 1
    assert rows["east", EAST.public]["since"] == "(no peer)"
    assert len(said["contradictions"]) == 1
    assert "south and west say two keys of east" in said["contradictions"][0]
    assert "broken.peers" in said["unreadable"][0]
    _, text, _ = run("list", plain=True)
    assert key_fingerprint(SOUTH.public)[:9] in text
    assert text.count("FAULT") == 2


def test_doctor_names_what_two_say_differently(hospital, run: Run, tmp_path: Path, capsys) -> None:
    def findings() -> list[tuple[str, str]]:
        main(["doctor", "--home", str(hospital.folder), "--json"])
        said = json.loads(capsys.readouterr().out)
        return [(one["state"], one["text"]) for one in said if one["topic"] == "peers"]

    assert findings() == []
    for name, key, others in (("south", SOUTH, {"east": EAST.public}), ("west", WEST, {})):
        file = peer_file(tmp_path / f"{name}.peers", name, key, **others)
        assert run("add", file, *told(key))[0] == 0
    assert [state for state, _ in findings()] == ["ok"]
    file = peer_file(tmp_path / "west.peers", "west", WEST, days=0.5, east=new_key().public)
    assert run("import", file)[0] == 0
    (hospital.folder / "peers" / "broken.peers").write_text("x")
    found = findings()
    assert [state for state, _ in found] == ["FAULT", "FAULT"]
    assert "two keys of east" in found[0][1]
    assert "broken.peers" in found[1][1]


def test_a_simulated_hospital_has_no_peers(hospital, run: Run) -> None:
    hospital.become_simulated(7)
    code, _, line = run("add", "south", SOUTH.public, *told(SOUTH))
    assert code == 2
    assert "a simulated hospital has none" in line
