"""Keys, signatures, and the files that keep them."""

import base64
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from wardround.client.commands.open_home import public_key
from wardround.client.policy.policy_file import policy_from_yaml
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_new
from wardround.protocol.wire.signing import (
    Purpose,
    checked_public_key,
    key_fingerprint,
    load_key,
    load_public_key,
    new_key,
    save_key,
    verifies,
)

KEY = new_key()


def test_a_signature_fits_its_payload_its_purpose_and_its_key_alone() -> None:
    signature = KEY.sign(Purpose.PLAN, b"plan")
    assert verifies(KEY.public, Purpose.PLAN, b"plan", signature)
    assert not verifies(KEY.public, Purpose.PLAN, b"plan!", signature)
    assert not verifies(KEY.public, Purpose.RELEASE, b"plan", signature)
    assert not verifies(new_key().public, Purpose.PLAN, b"plan", signature)


def test_purposes_cannot_run_into_payloads() -> None:
    purposes = [purpose.value for purpose in Purpose]
    assert not any(a != b and b.startswith(a) for a in purposes for b in purposes)


@given(position=st.integers(0, 511))
def test_any_flipped_bit_of_a_signature_is_seen(position: int) -> None:
    signature = bytearray(KEY.sign(Purpose.PLAN, b"plan"))
    signature[position // 8] ^= 1 << position % 8
    assert not verifies(KEY.public, Purpose.PLAN, b"plan", bytes(signature))


@given(st.binary(max_size=80), st.text(max_size=60))
def test_malformed_signatures_and_keys_verify_nothing(signature: bytes, public: str) -> None:
    assert not verifies(KEY.public, Purpose.PLAN, b"plan", signature)
    assert not verifies(public, Purpose.PLAN, b"plan", KEY.sign(Purpose.PLAN, b"plan"))


# Chalkias, Garillot, Nikolaenko 2020, table 1: all encodings of the eight points of small order.
SMALL_ORDER = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)


def spelt(raw: bytes) -> str:
    return "ed25519:" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize("encoding", SMALL_ORDER)
def test_a_key_of_small_order_is_no_key_at_any_door(encoding: str, tmp_path: Path) -> None:
    public = spelt(bytes.fromhex(encoding))
    (tmp_path / "weak.pub").write_text(public + "\n")
    doors: list[Callable[[], object]] = [
        lambda: checked_public_key(public),
        lambda: key_fingerprint(public),
        lambda: load_public_key(tmp_path / "weak.pub"),
        lambda: policy_from_yaml(f"delta: 1e-5\noperators: {{weak: '{public}'}}\n".encode()),
        lambda: public_key(public),
    ]
    for door in doors:
        with pytest.raises(ConfigurationError):
            door()


def test_a_signature_without_a_private_key_verified_under_small_order_and_no_longer_does() -> None:
    """R = the neutral point, s = 0: fits every message under the neutral key; OpenSSL says so."""
    weak, signature = bytes.fromhex(SMALL_ORDER[0]), bytes.fromhex(SMALL_ORDER[0]) + bytes(32)
    Ed25519PublicKey.from_public_bytes(weak).verify(signature, b"any message at all")
    assert not verifies(spelt(weak), Purpose.TERMS, b"terms", signature)


def test_a_number_that_is_not_reduced_is_no_key() -> None:
    for y in range(2**255 - 19, 2**255):
        for sign in (0, 2**255):
            with pytest.raises(ConfigurationError):
                checked_public_key(spelt((y + sign).to_bytes(32, "little")))


def test_usual_keys_are_never_taken_for_weak_ones() -> None:
    assert all(checked_public_key(new_key().public) for _ in range(200))


def test_a_key_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "operator.key"
    save_key(KEY, path)
    assert load_key(path).public == KEY.public
    assert load_public_key(tmp_path / "operator.key.pub") == KEY.public
    assert verifies(KEY.public, Purpose.TERMS, b"terms", load_key(path).sign(Purpose.TERMS, b"terms"))


def test_only_the_owner_reads_a_private_key_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "operator.key"
    before = os.umask(0)
    try:
        save_key(KEY, path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_private_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "operator.key"
    save_key(KEY, path)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_key(path)


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "operator.key"
    save_key(KEY, path)
    with pytest.raises(ConfigurationError, match="never overwritten"):
        save_key(new_key(), path)
    assert load_key(path).public == KEY.public


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"-----BEGIN PRIVATE KEY-----\n", b"x" * 100_000])
def test_what_is_no_key_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "operator.key"
    path.write_bytes(content)
    path.chmod(0o600)
    for load in (load_key, load_public_key):
        with pytest.raises(ConfigurationError) as error:
            load(path)
        assert "\n" not in str(error.value)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "operator.key"
    private = generate_private_key(SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="Ed25519"):
        load_key(path)


def test_a_missing_key_is_one_line(tmp_path: Path) -> None:
    for load in (load_key, load_public_key):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load(tmp_path / "none.key")


def test_a_public_key_has_one_spelling() -> None:
    # 43 letters carry 258 bits: the last two are free, and only one of four spellings is taken.
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    taken = 0
    for letter in last:
        try:
            taken += bool(checked_public_key(KEY.public[:-1] + letter))
        except ConfigurationError:
            continue
    assert taken == len(last) // 4


def test_a_private_key_never_shows_itself() -> None:
    assert repr(KEY) == f"SigningKey({KEY.public})"


def test_fingerprints_are_for_people_to_compare() -> None:
    assert key_fingerprint(KEY.public) == key_fingerprint(KEY.public) != key_fingerprint(new_key().public)
    assert len(key_fingerprint(KEY.public).split()) == 8


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_new(tmp_path / "north.json", b"{}", 0o600)
    assert _names(tmp_path) == []


def test_a_crash_leaves_a_hidden_part_that_its_owner_alone_reads(tmp_path: Path) -> None:
    path = tmp_path / "north.json"
    child = os.fork()
    if child == 0:
        os.umask(0)
        os.fsync = lambda _: os._exit(9)  # type: ignore[assignment]
        write_new(path, b"{}", 0o600)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".")
    assert not [*tmp_path.glob("*.json"), *tmp_path.glob("*.policy")]
    assert left.stat().st_mode & 0o777 == 0o600
    write_new(path, b"{}", 0o644)
    assert path.read_bytes() == b"{}"


@pytest.mark.parametrize("linked", [True, False])
def test_a_new_file_is_whole_and_never_in_anothers_place(
    linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "as on a memory stick")

    if not linked:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "north.json"
    write_new(path, b"first", 0o640)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"first", 0o640)
    with pytest.raises(ConfigurationError, match="never overwritten"):
        write_new(path, b"second", 0o640)
    assert (path.read_bytes(), _names(tmp_path)) == (b"first", ["north.json"])
