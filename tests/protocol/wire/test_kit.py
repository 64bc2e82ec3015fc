"""Kits and requests to join: read back as written; altered, foreign and overlong files are one error."""

import json
import re
from datetime import UTC, datetime

import pytest

from wardround.client.network.supernode import node_public_key
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.kit import (
    KIT,
    REQUEST,
    checked_address,
    load_join_request,
    load_kit,
    sign_join_request,
    sign_kit,
)
from wardround.protocol.wire.signed_file import save_signed, signed_content
from wardround.protocol.wire.signing import new_key
from wardround.server.store.certificates import new_root


@pytest.fixture
def kit():
    root = new_root("root", datetime.now(UTC)).certificate.decode()
    return sign_kit("north", "study.example:8443", root, new_key())


def test_a_kit_is_read_back_and_holds_no_private_key(kit, tmp_path):
    save_signed(kit, tmp_path / "north.kit")
    assert load_kit(tmp_path / "north.kit") == kit
    assert "PRIVATE" not in (tmp_path / "north.kit").read_text()
    with pytest.raises(ConfigurationError, match="never overwritten"):
        save_signed(kit, tmp_path / "north.kit")


@pytest.mark.parametrize(
    "change",
    [
        {"hospital": "../north"},
        {"hospital": 7},
        {"address": "study.example"},
        {"address": "a b:1"},
        {"address": "h:70000"},
        {"root_certificate": "-----BEGIN CERTIFICATE-----"},
        {"protocol": 0},
        {"protocol": "2"},
        {"protocol": True},
        {"protocol": 2**16},
        {"program": ""},
        {"program": "0.2.0\x1b[2J"},
        {"program": "9" * 31},
        {"program": None},
        {"more": "x"},
    ],
)
def test_what_an_operator_signs_must_still_be_a_kit(kit, tmp_path, change):
    plain = json.loads(kit.content.split(b"\n")[1]) | change
    (tmp_path / "spoilt").write_bytes(signed_content(KIT, plain, new_key()))
    with pytest.raises(
        ConfigurationError, match=re.escape(next(iter(change))) if "more" not in change else "parts"
    ):
        load_kit(tmp_path / "spoilt")


def test_a_request_is_signed_by_the_hospitals_key(tmp_path):
    key, path = new_key(), tmp_path / "north.request"
    asked = sign_join_request("north", node_public_key(tmp_path / "node"), key)
    save_signed(asked, path)
    assert load_join_request(path) == asked
    assert asked.signing_key == key.public


def test_a_request_with_any_part_of_another_is_refused(tmp_path):
    requests = []
    for name in ("north", "south"):
        asked = sign_join_request(name, node_public_key(tmp_path / name), new_key())
        line, body, _ = asked.content.split(b"\n")
        requests.append((*line.split(b" "), body))
    for part in range(1, 4):  # key, signature, body
        mixed = [*requests[0]]
        mixed[part] = requests[1][part]
        (tmp_path / "mixed").write_bytes(b" ".join(mixed[:3]) + b"\n" + mixed[3] + b"\n")
        with pytest.raises(ConfigurationError, match="signature"):
            load_join_request(tmp_path / "mixed")


@pytest.mark.parametrize(
    "change",
    [
        {"hospital": "../north"},
        {"hospital": 7},
        {"address": "study.example"},
        {"address": ["h:1"]},
        {"root_certificate": "-----BEGIN CERTIFICATE-----"},
        {"root_certificate": f"-----BEGIN CERTIFICATE-----\n{'A' * 200}\n-----END CERTIFICATE-----\n"},
    ],
)
def test_what_an_operator_signs_amiss_is_refused_by_the_files_name(kit, tmp_path, change):
    """Signed well, and no kit all the same: join would fall over it after it had written."""
    parts = json.loads(kit.content.split(b"\n")[1])
    assert not change.keys() - parts.keys()
    (tmp_path / "x.kit").write_bytes(signed_content(KIT, {**parts, **change}, new_key()))
    with pytest.raises(ConfigurationError, match=r"^kit=.*x\.kit") as refused:
        load_kit(tmp_path / "x.kit")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("change", [{"protocol": -1}, {"program": "a b"}])
def test_a_request_says_who_wrote_it_in_its_one_way(tmp_path, change):
    asked = sign_join_request("north", node_public_key(tmp_path / "node"), new_key())
    plain = json.loads(asked.content.split(b"\n")[1]) | change
    (tmp_path / "spoilt").write_bytes(signed_content(REQUEST, plain, new_key()))
    with pytest.raises(ConfigurationError, match=r"^request=.*protocol must be"):
        load_join_request(tmp_path / "spoilt")


def test_addresses():
    assert checked_address("[::1]:8443") == "[::1]:8443"
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        checked_address("http://study:8443")
