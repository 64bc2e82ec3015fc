"""A server of another release: understood where it speaks this protocol, else refused before anything is charged."""

import json

import pytest

from wardround.client.home.home import load_home
from wardround.client.home.server_releases import MOST_OPERATORS, ServerReleases
from wardround.client.main import main
from wardround.protocol.errors import MessageError, Refusal
from wardround.protocol.installed import installed_version
from wardround.protocol.wire import speaker
from wardround.protocol.wire.envelope import (
    SignedRelease,
    answering_speaker,
    decode_answer,
    signed_by_hospital,
)
from wardround.protocol.wire.opening import OPENING_BYTES, STATEMENT_AT
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.speaker import PROTOCOL, Speaker, this_speaker

OTHERS = (PROTOCOL - 1, PROTOCOL + 1)


@pytest.fixture
def by_release(monkeypatch):
    """Make something as another release would."""

    def made(make, protocol=PROTOCOL, program="9.9.9"):
        with monkeypatch.context() as other:
            other.setattr(speaker, "PROTOCOL", protocol)
            other.setattr(speaker, "installed_version", lambda: program)
            return make()

    return made


def refusal_of(reply):
    assert answering_speaker(reply.payload) == this_speaker()
    answer = decode_answer(reply.payload)
    assert isinstance(answer, Refusal)
    return answer.clause


@pytest.mark.parametrize("protocol", OTHERS)
def test_another_protocol_is_refused_and_nothing_is_charged(approved, by_release, protocol, caplog):
    request = by_release(approved.request, protocol)
    assert refusal_of(approved.agent.screen(request[:OPENING_BYTES])) == "protocol"
    assert refusal_of(approved.agent.answer(request)) == "protocol"
    assert not approved.entries("charged")
    (refused,) = approved.entries("refused")
    assert refused.fields["clause"] == "protocol"
    (line,) = [line for line in caplog.messages if line.startswith("refused:")]
    older = "this agent" if protocol > PROTOCOL else "the operator's server"
    assert line.startswith(
        f"refused: protocol: the operator's server speaks protocol {protocol} (wardround 9.9.9), this agent protocol "
        f"{PROTOCOL} (wardround {installed_version()}); upgrade {older}"
    )


def test_nothing_of_another_protocol_is_read_but_who_wrote_it(approved, by_release):
    """Whatever stands behind the bytes that never change, in whatever layout."""
    request = by_release(approved.request, PROTOCOL + 1)
    for rest in (b"", b"\xff" * 10, bytes(4096)):
        assert refusal_of(approved.agent.answer(request[:STATEMENT_AT] + rest)) == "protocol"


def test_a_stranger_is_not_told_which_protocol_is_spoken(approved, by_release):
    """Nor can anybody but a listed operator make an agent ask its people for an upgrade."""
    stranger = by_release(lambda: approved.request(signer=new_key()), PROTOCOL + 1)
    assert refusal_of(approved.agent.answer(stranger)) == "operators"
    forged = bytearray(by_release(approved.request, PROTOCOL + 1))
    forged[8] += 1  # the number alone
    assert refusal_of(approved.agent.answer(bytes(forged))) == "signature"
    assert not load_home(approved.folder).server_releases.read()


def test_another_release_of_this_protocol_is_answered_and_noted_once(approved, by_release, caplog):
    caplog.set_level("INFO", logger="wardround.hospital")
    for number in (1, 2, 3):
        request = by_release(lambda: approved.request(number))  # noqa: B023
        answer = decode_answer(approved.agent.answer(request).payload)
        assert isinstance(answer, SignedRelease)
        assert answer.speaker == this_speaker()
    mine = installed_version()
    note = f"the operator's server runs wardround 9.9.9, this agent {mine}; both speak protocol {PROTOCOL}"
    assert caplog.messages.count(note) == 1
    (found,) = load_home(approved.folder).server_releases.read().values()
    assert found.speaker == Speaker(PROTOCOL, "9.9.9")


def test_a_repeat_after_an_upgrade_is_free_and_has_the_same_stored_bytes(approved, by_release):
    """The release keeps its bytes; who sends it now is said, and signed, around them."""
    request = approved.request()
    before = approved.agent.answer(request).payload
    approved.stop()
    after = by_release(lambda: approved.agent.answer(request).payload)
    one, other = decode_answer(before), decode_answer(after)
    assert other.speaker == Speaker(PROTOCOL, "9.9.9") != one.speaker
    assert other.release.vector.tobytes() == one.release.vector.tobytes()
    at = before.index(b"wardrnd1")
    assert after[at:] == before[at:]
    assert len(approved.entries("charged")) == len(approved.entries("released")) == 1
    assert signed_by_hospital(other, approved.key.public)
    assert not signed_by_hospital(
        SignedRelease(other.release, one.speaker, other.signature), approved.key.public
    )


def test_an_answer_of_another_protocol_is_not_read(approved, by_release):
    request = approved.request()
    for protocol in OTHERS:
        answered = by_release(lambda: approved.agent.answer(b"x").payload, protocol)
        assert answering_speaker(answered) == Speaker(protocol, "9.9.9")
        with pytest.raises(MessageError, match=f"protocol {protocol}"):
            decode_answer(answered)
    assert isinstance(decode_answer(approved.agent.answer(request).payload), SignedRelease)


def said_by(capsys, *words):
    code = main([*words])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return code, " ".join(captured.out.split())


@pytest.mark.parametrize("protocol", OTHERS)
def test_status_and_doctor_say_it_until_both_speak_alike(approved, by_release, protocol, capsys):
    approved.agent.answer(by_release(approved.request, protocol))
    home = ["--home", str(approved.folder)]
    line = (
        f"consortium: the operator's server speaks protocol {protocol} (wardround 9.9.9), this agent protocol"
    )
    code, out = said_by(capsys, "status", *home)
    assert (code, f"FAULT: {line}" in out) == (0, True)
    code, out = said_by(capsys, "doctor", "--json", *home)
    (found,) = [finding for finding in json.loads(out) if finding["topic"] == "release"]
    assert (code, found["state"], found["text"].startswith(line)) == (2, "FAULT", True)
    approved.released()  # the operator's server, of this release again
    _, out = said_by(capsys, "status", "--json", *home)
    assert (json.loads(out)["faults"], json.loads(out)["other_releases"]) == ([], [])
    assert json.loads(out)["release"] == str(this_speaker())
    _, out = said_by(capsys, "doctor", "--json", *home)
    assert [one["state"] for one in json.loads(out) if one["topic"] == "release"] == ["ok"]


def test_an_operator_who_is_no_longer_listed_keeps_no_fault(approved, by_release, capsys):
    approved.agent.answer(by_release(approved.request, PROTOCOL + 1))
    approved.write_policy(operators={"other": new_key().public})
    _, out = said_by(capsys, "status", "--json", "--home", str(approved.folder))
    assert json.loads(out)["faults"] == []


def test_only_changes_are_written_and_a_full_disk_changes_no_answer(
    approved, by_release, monkeypatch, caplog
):
    approved.released(1)
    path = approved.folder / "servers.json"
    before = path.stat().st_ino
    approved.released(2)
    assert path.stat().st_ino == before

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wardround.client.home.server_releases.write_durably", full)
    request = by_release(lambda: approved.request(3))
    assert isinstance(decode_answer(approved.agent.answer(request).payload), SignedRelease)
    assert "servers.json cannot be written (OSError)" in caplog.messages


def test_the_file_holds_few_operators_and_leaves_out_what_is_damaged(tmp_path, approved):
    path, now = tmp_path / "servers.json", approved.agent._now()
    releases = ServerReleases(path)
    keys = [new_key().public for _ in range(MOST_OPERATORS + 3)]
    for key in keys:
        releases.note(key, this_speaker(), now)
    kept = ServerReleases(path).read()
    assert len(kept) == MOST_OPERATORS
    assert keys[-1] in kept
    plain = json.loads(path.read_text())
    spoilt = (
        {"protocol": 0},
        {"program": "a\nb"},
        {"since": "yesterday"},
        {"since": "2026-01-01"},
        {"since": 5},
    )
    for key, change in zip(plain, spoilt, strict=False):
        plain[key] |= change
    path.write_text(json.dumps(plain))
    assert len(ServerReleases(path).read()) == MOST_OPERATORS - len(spoilt)
    path.write_text("[]")
    assert ServerReleases(path).read() == {}
