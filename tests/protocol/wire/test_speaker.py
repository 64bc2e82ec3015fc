"""Who speaks: the bytes that no protocol changes, in their one spelling, and the line that says who upgrades."""

import re
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.protocol import installed
from wardround.protocol.errors import MessageError
from wardround.protocol.installed import installed_version
from wardround.protocol.wire import speaker
from wardround.protocol.wire.opening import (
    OPENING_BYTES,
    SIGNATURE_AT,
    STATEMENT_AT,
    Statement,
    decode_opening,
    decode_statement,
    is_statement_signed,
    sign_opening,
    signed_by_operator,
)
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.speaker import (
    ANSWER,
    ASK,
    PROTOCOL,
    SPEAKER_BYTES,
    Speaker,
    disagreement,
    other_release,
    speaker_from_bytes,
    speaker_from_mapping,
    speaker_to_bytes,
    speaker_to_mapping,
    this_speaker,
)

speakers = st.builds(
    Speaker, st.integers(1, 2**16 - 1), st.from_regex(r"[0-9A-Za-z][0-9A-Za-z.+!_-]{0,29}", fullmatch=True)
)
STATEMENT = Statement(
    terms_bytes=7,
    expires_at=int(datetime(2030, 1, 1, tzinfo=UTC).timestamp()),
    head_digest=b"h" * 32,
    weights_digest=b"w" * 32,
)


@given(speakers)
def test_a_speaker_comes_back_as_it_was(one: Speaker) -> None:
    assert speaker_from_bytes(ANSWER, speaker_to_bytes(ANSWER, one) + b"and whatever follows") == one
    assert speaker_from_mapping(speaker_to_mapping(one)) == one


@given(st.binary(min_size=40, max_size=60))
def test_a_speaker_has_one_spelling(payload: bytes) -> None:
    for content in (payload, ASK + payload[8:], ASK + payload[8:10] + b"0.2.0" + payload[15:]):
        try:
            one = speaker_from_bytes(ASK, content)
        except MessageError:
            continue
        assert speaker_to_bytes(ASK, one) == content[:SPEAKER_BYTES]


@pytest.mark.parametrize(
    "spoilt",
    [
        b"",
        b"ward-ask",
        struct.pack("<8sH30s", b"ward-ans", 2, b"0.2.0"),
        struct.pack("<8sH30s", b"ward-ask", 0, b"0.2.0"),
        struct.pack("<8sH30s", b"ward-ask", 2, b""),
        struct.pack("<8sH30s", b"ward-ask", 2, b"0.2\0.0"),
        struct.pack("<8sH30s", b"ward-ask", 2, b"0.2.0\x1b[2J"),
        struct.pack("<8sH30s", b"ward-ask", 2, b"\xff\xfe"),
        struct.pack("<8sH30s", b"ward-ask", 2, b"0.2.0")[:-1],
    ],
)
def test_what_is_no_speaker_is_refused(spoilt: bytes) -> None:
    with pytest.raises(MessageError) as refused:
        speaker_from_bytes(ASK, spoilt)
    assert "\x1b" not in str(refused.value)


def test_the_first_bytes_of_every_protocol_are_these() -> None:
    """Never to be changed: releases that understand nothing else of each other read them."""
    assert (SPEAKER_BYTES, SIGNATURE_AT, STATEMENT_AT) == (40, 104, 168)
    first = speaker_to_bytes(ASK, Speaker(770, "0.3.0"))
    assert first == b"ward-ask\x02\x030.3.0" + bytes(25)
    assert speaker_to_bytes(ANSWER, Speaker(2, "0.2.0"))[:15] == b"ward-ans\x02\x000.2.0"


def test_an_opening_of_another_protocol_is_read_and_verified_up_to_its_statement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = new_key()
    with monkeypatch.context() as other:
        other.setattr(speaker, "PROTOCOL", PROTOCOL + 1)
        signed = sign_opening(STATEMENT, key)[:STATEMENT_AT]
    for statement in (b"", b"of another layout", bytes(1000)):
        opening = decode_opening((signed + statement)[:OPENING_BYTES])
        assert opening.speaker == Speaker(PROTOCOL + 1, installed_version())
        assert opening.operator == key.public
        assert signed_by_operator(opening)
        assert not is_statement_signed(opening)


@given(st.integers(0, OPENING_BYTES - 1), st.integers(1, 255))
def test_no_byte_of_an_opening_can_be_changed(at: int, change: int) -> None:
    key = new_key()
    whole = bytearray(sign_opening(STATEMENT, key))
    assert decode_statement(decode_opening(bytes(whole))) == STATEMENT
    whole[at] ^= change
    try:
        opening = decode_opening(bytes(whole))
    except MessageError:
        return
    fits = opening.operator == key.public and signed_by_operator(opening) and is_statement_signed(opening)
    assert not fits


def test_the_older_side_is_told_to_upgrade() -> None:
    mine = f"protocol {PROTOCOL} (wardround {installed_version()})"
    newer, older = Speaker(PROTOCOL + 1, "9.0"), Speaker(PROTOCOL - 1, "0.1.0")
    line = f"the server speaks protocol {PROTOCOL + 1} (wardround 9.0), this agent {mine}; upgrade this agent"
    assert disagreement("the server", newer, "this agent") == line
    assert disagreement("the server", older, "this agent").endswith("; upgrade the server")
    same = Speaker(PROTOCOL, "0.2.99")
    both = (
        f"the server runs wardround 0.2.99, this agent {installed_version()}; both speak protocol {PROTOCOL}"
    )
    assert other_release("the server", same, "this agent") == both


def test_a_long_version_is_cut_and_a_missing_one_has_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> str:
        raise installed.PackageNotFoundError(name)

    monkeypatch.setattr(speaker, "installed_version", lambda: "0.2.1.dev123+gabcdef0.d20261128")
    assert speaker_from_bytes(ASK, speaker_to_bytes(ASK, this_speaker())) == this_speaker()
    monkeypatch.setattr(installed, "version", lacking)
    found = installed.installed_version.__wrapped__()
    assert found == "uninstalled"
    assert re.fullmatch("[a-z]+", found)
