"""Peer files: what a hospital vouches for, read back as it was signed; forged and altered ones are one error."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.peer_file import (
    MOST_PEERS,
    PEERS,
    check_identities,
    check_not_ahead,
    load_peers,
    sign_peers,
)
from wardround.protocol.wire.signed_file import save_signed, signed_content
from wardround.protocol.wire.signing import new_key, public_key_text

KEY, SOUTH, WEST = new_key(), new_key().public, new_key().public
NOW = datetime(2026, 11, 28, 12, 30, 15, 999_999, tzinfo=UTC)
WEAK = public_key_text(bytes(32))


def test_a_peer_file_is_read_back_with_its_time_in_seconds(tmp_path) -> None:
    file = sign_peers("north", {"south": SOUTH, "west": WEST}, NOW, KEY)
    save_signed(file, tmp_path / "north.peers")
    assert load_peers(tmp_path / "north.peers") == file
    assert (file.hospital, file.signing_key, dict(file.peers)) == (
        "north",
        KEY.public,
        {"south": SOUTH, "west": WEST},
    )
    assert file.signed_at == NOW.replace(microsecond=0)
    assert "PRIVATE" not in (tmp_path / "north.peers").read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"hospital": "../north"},
        {"hospital": None},
        {"signed_at": "2026-11-28"},
        {"signed_at": "2026-11-28T12:30:15"},
        {"signed_at": "2026-11-28T13:30:15+01:00"},
        {"signed_at": "9999-12-31T23:59:59-23:59"},
        {"signed_at": 7},
        {"peers": [SOUTH]},
        {"peers": {"south": 7}},
        {"peers": {"south": SOUTH[:-1]}},
        {"peers": {"south": WEAK}},
        {"peers": {"so uth": SOUTH}},
        {"peers": {"south": SOUTH, "west": SOUTH}},
        {"peers": {"north": SOUTH}},
        {"peers": {"south": KEY.public}},
        {"peers": {f"h{n}": public_key_text(n.to_bytes(32, "big")) for n in range(2, MOST_PEERS + 3)}},
        {"more": 1},
    ],
)
def test_what_a_hospital_signs_must_still_be_a_peer_file(tmp_path, change) -> None:
    plain = json.loads(sign_peers("north", {"south": SOUTH}, NOW, KEY).content.split(b"\n")[1]) | change
    path = tmp_path / "north.peers"
    path.write_bytes(signed_content(PEERS, plain, KEY))
    with pytest.raises(ConfigurationError, match="peers="):
        load_peers(path)


def test_an_altered_file_and_one_under_anothers_key_are_refused(tmp_path) -> None:
    content = sign_peers("north", {"south": SOUTH}, NOW, KEY).content
    path = tmp_path / "north.peers"
    for place in range(len(content)):
        spoilt = bytearray(content)
        spoilt[place] ^= 1
        path.write_bytes(bytes(spoilt))
        with pytest.raises(ConfigurationError):
            load_peers(path)
    path.write_bytes(content.replace(KEY.public.encode(), new_key().public.encode()))
    with pytest.raises(ConfigurationError, match="signature does not fit"):
        load_peers(path)
    # Under a key of small order one signature fits many files: nobody needs its private half.
    path.write_bytes(content.replace(KEY.public.encode(), WEAK.encode()))
    with pytest.raises(ConfigurationError, match="small order"):
        load_peers(path)


def test_all_faults_of_names_and_keys_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_identities({"a b": SOUTH, "south": WEAK, "west": WEST, "east": WEST}, "policy.peers")
    line = str(caught.value)
    assert "a b" in line
    assert "small order" in line
    assert "west and east have one key" in line


def test_a_file_of_tomorrow_is_refused() -> None:
    """One whose clock ran ahead for a day would keep every later file of the same hospital from counting."""
    check_not_ahead(sign_peers("north", {}, NOW + timedelta(hours=23), KEY), NOW)
    with pytest.raises(ConfigurationError, match="ahead of this machine's clock"):
        check_not_ahead(sign_peers("north", {}, NOW + timedelta(days=2), KEY), NOW)


def test_a_file_says_for_which_names_and_keys_it_knows_better() -> None:
    file = sign_peers("north", {"south": SOUTH}, NOW, KEY)
    assert file.agrees("south", SOUTH)
    assert file.agrees("west", WEST)
    assert file.agrees("north", KEY.public)
    assert not file.agrees("south", WEST)
    assert not file.agrees("west", SOUTH)
    assert not file.agrees("north", WEST)
    assert not file.agrees("west", KEY.public)
