"""Signed files: one byte changed anywhere is refused by the file's name, and a file has one spelling."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wardround.client.network.supernode import node_public_key
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.limits import Limits
from wardround.protocol.wire.kit import load_join_request, load_kit, sign_join_request, sign_kit
from wardround.protocol.wire.published_policy import load_policy, publish_policy
from wardround.protocol.wire.signed_file import FileForm, read_signed, sign_body, signed_content
from wardround.protocol.wire.signing import Purpose, new_key
from wardround.server.store.certificates import new_root

KINDS = ("kit", "request", "policy")
FORM = FileForm(
    kind="thing", format="thing-1", purpose=Purpose.KIT, signer="who", parts=("a", "b"), giver="them"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, Callable[[Path], Any]]]:
    """Each kind's bytes, and what reads them."""
    folder, key = tmp_path_factory.mktemp("node"), new_key()
    root = new_root("root", datetime.now(UTC)).certificate.decode()
    limits = Limits(delta=1e-5, contracts=("tea",), max_epsilon_per_study=1.5)
    return {
        "kit": (sign_kit("north", "study.example:8443", root, key).content, load_kit),
        "request": (sign_join_request("north", node_public_key(folder), key).content, load_join_request),
        "policy": (publish_policy("north", limits, datetime.now(UTC), key).content, load_policy),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_one_byte_changed_anywhere_is_refused_by_name(kind: str, files: Any, tmp_path: Path) -> None:
    content, load = files[kind]
    path = tmp_path / f"north.{kind}"
    path.write_bytes(content)
    load(path)
    for at in range(len(content)):
        mask = (0x01, 0x20, 0x80)[at % 3]  # another digit, the other case, no UTF-8
        path.write_bytes(content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :])
        with pytest.raises(ConfigurationError) as refused:
            load(path)
        line = str(refused.value)
        assert line.startswith(f"{kind}={path}: "), (at, mask, line)
        assert "\n" not in line


@pytest.mark.parametrize("kind", KINDS)
def test_a_byte_more_or_less_is_refused(kind: str, files: Any, tmp_path: Path) -> None:
    content, load = files[kind]
    path = tmp_path / f"north.{kind}"
    for at in range(0, len(content), 5):
        path.write_bytes(content[:at] + content[at + 1 :])
        with pytest.raises(ConfigurationError):
            load(path)
    for last in set(range(256)) - {content[-1]}:  # other spaces too
        path.write_bytes(content[:-1] + bytes([last]))
        with pytest.raises(ConfigurationError, match=f"^{kind}="):
            load(path)
    for changed in (content + b"\n", content + b" ", b" " + content, b"\xef\xbb\xbf" + content, content * 2):
        path.write_bytes(changed)
        with pytest.raises(ConfigurationError, match=f"^{kind}="):
            load(path)


def test_the_same_said_in_another_spelling_is_refused() -> None:
    key = new_key()
    content = signed_content(FORM, {"a": 1, "b": "ü"}, key)
    assert read_signed(FORM, content, "x") == {"a": 1, "b": "ü", "who": key.public}
    body = content.split(b"\n")[1]
    for other in (
        json.dumps(json.loads(body)).encode(),  # ü as an escape, and spaces
        body.replace(b'"a":1', b'"a":1.0') + b" ",
        body.replace(b'"a":1', b'"a":1,"a":1'),
        body.replace(b'"a":1,', b"") + b"\n",
    ):
        with pytest.raises(ConfigurationError, match="thing=x"):
            read_signed(FORM, sign_body(FORM, other, key), "x")


def test_nothing_is_decoded_before_its_signature_was_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key()
    content = signed_content(FORM, {"a": 1, "b": 2}, key)

    def never(*arguments: object) -> object:
        raise AssertionError("decoded")

    monkeypatch.setattr("wardround.protocol.wire.signed_file.read_json", never)
    with pytest.raises(ConfigurationError, match="does not fit"):
        read_signed(FORM, content.replace(b'"a":1', b'"a":3'), "x")
    with pytest.raises(AssertionError, match="decoded"):
        read_signed(FORM, content, "x")


def test_a_signature_for_another_purpose_or_by_another_key_does_not_fit() -> None:
    key, plain = new_key(), {"a": 1, "b": 2}
    other = FileForm(**{**vars(FORM), "purpose": Purpose.JOIN})
    with pytest.raises(ConfigurationError, match="does not fit"):
        read_signed(FORM, signed_content(other, plain, key), "x")
    stranger = signed_content(FORM, plain, key).replace(key.public.encode(), new_key().public.encode())
    with pytest.raises(ConfigurationError, match="does not fit"):
        read_signed(FORM, stranger, "x")


def test_a_file_of_an_earlier_version_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="earlier version; ask them for the file again"):
        read_signed(FORM, b'{"format":"thing-0"}\n', "x")


def test_a_large_file_is_not_read() -> None:
    with pytest.raises(ConfigurationError, match="larger than 65536"):
        read_signed(FORM, b" " * 2**17, "x")
