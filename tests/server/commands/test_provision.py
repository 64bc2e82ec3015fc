"""Provisioning: certificates that TLS accepts, kits without secrets, who is let in and shut out."""

import errno
import io
import json
import os
import socket
import ssl
import string
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wardround.client.network.server_look import look_at_server
from wardround.client.network.supernode import (
    load_node_settings,
    node_public_key,
    write_node_settings,
)
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.kit import (
    load_join_request,
    load_kit,
    sign_join_request,
    sign_kit,
)
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signing import new_key
from wardround.server.main import main
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.certificates import Signed, days_left, new_root, new_server
from wardround.server.store.operator_home import load_operator_home


def serve(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["wardround-serve", *arguments])
    return main()


@pytest.fixture
def home(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        serve(monkeypatch, "provision", "--hospital=north", "--hospital=south", "--out=kits", "--home=op")
        == 0
    )
    capsys.readouterr()
    return load_operator_home(Path("op"))


def enrol(monkeypatch, request):
    """Let a hospital in as an operator does who was told the fingerprint."""
    told = load_join_request(request).fingerprint
    return serve(monkeypatch, "enrol", f"--request={request}", f"--fingerprint={told}", "--home=op")


def request_of(name, tmp_path, key=None):
    path = tmp_path / f"{name}-{datetime.now(UTC).timestamp()}.request"
    node = node_public_key(tmp_path / f"{path.name}.node")
    save_signed(sign_join_request(name, node, key or new_key()), path)
    return path


def test_provision_writes_kits_and_secrets_for_the_owner_alone(home):
    kit = load_kit(Path("kits/north.kit"))
    assert kit.operator == home.key().public
    assert kit.address == home.address
    private = [
        *(home.folder / "secrets").iterdir(),
        home.tls("root.key"),
        home.tls("server.key"),
        home.folder / "operator.key",
    ]
    assert all(path.stat().st_mode & 0o077 == 0 for path in private)
    assert days_left(home.tls("server.crt")) > 300


def test_more_kits_later_have_the_same_root_and_key(home, monkeypatch):
    assert serve(monkeypatch, "provision", "--hospital=west", "--out=kits", "--home=op") == 0
    first, later = load_kit(Path("kits/north.kit")), load_kit(Path("kits/west.kit"))
    assert (first.root_certificate, first.operator) == (later.root_certificate, later.operator)


def test_a_hospital_is_let_in_changes_its_node_key_and_is_shut_out(home, monkeypatch, tmp_path, capsys):
    key = new_key()
    assert enrol(monkeypatch, request_of("north", tmp_path, key)) == 0
    before = home.hospitals()["north"]
    assert enrol(monkeypatch, request_of("north", tmp_path, key)) == 0
    assert home.hospitals()["north"].node_key != before.node_key
    assert enrol(monkeypatch, request_of("north", tmp_path)) == 2
    assert "another signing key" in capsys.readouterr().err
    assert home.hospitals()["north"].signing_key == key.public
    assert serve(monkeypatch, "revoke", "--hospital=north", "--home=op") == 0
    assert home.hospitals() == {}


def test_a_hospital_that_changes_its_node_key_is_there_at_all_times(home, monkeypatch, tmp_path):
    key, sync, seen = new_key(), os.fsync, []
    assert enrol(monkeypatch, request_of("north", tmp_path, key)) == 0
    before, changed = home.hospitals()["north"], request_of("north", tmp_path, key)

    def look(handle):
        seen.append(home.hospitals()["north"])
        sync(handle)

    monkeypatch.setattr(os, "fsync", look)
    assert enrol(monkeypatch, changed) == 0
    assert seen[0] == before
    assert seen[-1] == home.hospitals()["north"] != before


@pytest.mark.parametrize("kind", ["node_key", "signing_key"])
def test_another_hospitals_key_is_refused(kind, home, monkeypatch, tmp_path, capsys):
    """Both would be one node, or one voice: whoever is revoked then takes the other along."""
    key, nodes = new_key(), [node_public_key(tmp_path / str(number)) for number in range(2)]
    said = {"node_key": (nodes[0], new_key()), "signing_key": (nodes[1], key)}[kind]
    for name, (node, signs) in {"north": (nodes[0], key), "south": said}.items():
        save_signed(sign_join_request(name, node, signs), tmp_path / f"{name}.request")
    assert enrol(monkeypatch, tmp_path / "north.request") == 0
    assert enrol(monkeypatch, tmp_path / "south.request") == 2
    error = capsys.readouterr().err
    assert f"request.{kind}: south sent the key with which north is enrolled" in error
    assert list(home.hospitals()) == ["north"]
    assert enrol(monkeypatch, tmp_path / "north.request") == 0
    assert serve(monkeypatch, "revoke", "--hospital=north", "--home=op") == 0
    assert enrol(monkeypatch, tmp_path / "south.request") == 0


def test_a_node_key_is_a_key_in_its_one_spelling(home, monkeypatch, tmp_path, capsys):
    # Of the last letter of 136 bytes in base 64 four bits are free, and readers do not look at them.
    node, codec = node_public_key(tmp_path / "node"), string.ascii_uppercase + string.ascii_lowercase
    assert node[-3] in "AQgw"
    other = node[:-3] + codec[codec.index(node[-3]) + 1] + "=="
    path = tmp_path / "other.request"
    save_signed(sign_join_request("north", other, new_key()), path)
    assert enrol(monkeypatch, path) == 2
    assert "is not a key on a NIST curve" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="must be an OpenSSH public key on a NIST curve"):
        sign_join_request("north", "ecdsa-sha2-nistp384 " + "A" * 100, new_key())


def test_a_request_changed_on_its_way_is_another_request(home, monkeypatch, tmp_path, capsys):
    """Its signature does not fit; written anew by whoever carried it, it has another fingerprint."""
    asked = request_of("north", tmp_path)
    told, other = load_join_request(asked).fingerprint, request_of("north", tmp_path)
    asked.write_bytes(asked.read_bytes().replace(b"north", b"nord1"))
    assert serve(monkeypatch, "enrol", f"--request={asked}", f"--fingerprint={told}", "--home=op") == 2
    assert "signature does not fit" in capsys.readouterr().err
    assert serve(monkeypatch, "enrol", f"--request={other}", f"--fingerprint={told}", "--home=op") == 2
    error = capsys.readouterr().err
    assert f"its fingerprint is {load_join_request(other).fingerprint}, another one than you gave" in error
    assert error.count("\n") == 1
    assert home.hospitals() == {}


def test_nobody_is_let_in_without_a_terminal_and_a_fingerprint(home, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert serve(monkeypatch, "enrol", f"--request={request_of('north', tmp_path)}", "--home=op") == 2
    error = capsys.readouterr().err
    assert "give --fingerprint '…'" in error
    assert error.count("\n") == 1
    assert home.hospitals() == {}


@pytest.mark.parametrize(("typed", "code"), [("north", 0), ("yes", 2), ("", 2)])
def test_enrol_shows_the_fingerprint_and_asks_before_it_lets_anybody_in(
    home, monkeypatch, tmp_path, capsys, typed, code
):
    request, seen = request_of("north", tmp_path), []

    class Terminal:
        def isatty(self):
            return True

        def readline(self):
            seen.append((home.hospitals(), capsys.readouterr().err))
            return f"{typed}\n"

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert serve(monkeypatch, "enrol", f"--request={request}", "--home=op") == code
    ((let_in, shown),) = seen
    assert let_in == {}
    assert load_join_request(request).fingerprint in shown
    assert list(home.hospitals()) == (["north"] if code == 0 else [])


def test_provision_shows_what_join_shows(home, monkeypatch, capsys):
    assert (
        serve(monkeypatch, "provision", "--hospital=west", "--hospital=east", "--out=kits", "--home=op") == 0
    )
    said = capsys.readouterr().out
    for name in ("west", "east"):
        assert load_kit(Path(f"kits/{name}.kit")).fingerprint in said


def test_provision_again_shows_the_same_fingerprints_and_refuses_a_kit_that_was_exchanged(
    home, monkeypatch, capsys
):
    """The operator reads the fingerprint out days later: of his own kit, or of none."""
    kit = load_kit(Path("kits/north.kit"))
    again = ("provision", "--hospital=north", "--hospital=south", "--out=kits", "--home=op")
    assert serve(monkeypatch, *again) == 0
    assert kit.fingerprint in capsys.readouterr().out
    exchanged = sign_kit("north", "203.0.113.9:443", kit.root_certificate, new_key())
    Path("kits/north.kit").write_bytes(exchanged.content)
    assert serve(monkeypatch, *again) == 2
    said = capsys.readouterr()
    assert exchanged.fingerprint not in said.out
    assert "is not north's kit from this home" in said.err
    assert said.err.count("\n") == 1


def test_a_request_under_another_hospitals_name_counts_for_neither(home, monkeypatch, tmp_path):
    assert enrol(monkeypatch, request_of("south", tmp_path)) == 0
    (home.folder / "hospitals/south.json").rename(home.folder / "hospitals/north.json")
    assert home.hospitals() == {}
    (why,) = home.unread_hospitals().values()
    assert "is south's; remove it, and enrol the right one" in why


def test_a_folder_that_is_no_study_is_none(home, monkeypatch, capsys):
    for name in ("tea", "lost+found", "..x"):
        (home.folder / "studies" / name).mkdir()
    (home.folder / "studies/notes.txt").touch()
    assert serve(monkeypatch, "status", "--home=op", "--json") == 0
    assert [study["study"] for study in json.loads(capsys.readouterr().out)["studies"]] == ["tea"]


@pytest.mark.parametrize("lost", ["server.crt", "server.key"])
def test_a_lost_certificate_is_renewed_as_up_says(lost, home, monkeypatch, capsys):
    home.tls(lost).unlink()
    assert serve(monkeypatch, "up", "--home=op") == 2
    assert "wardround-serve renew" in capsys.readouterr().err
    assert serve(monkeypatch, "renew", "--home=op") == 0
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(home.tls("server.crt"), home.tls("server.key"))
    assert home.tls("server.key").stat().st_mode & 0o077 == 0
    assert not [*home.tls("").glob("renewed*")]


def test_a_pair_that_does_not_fit_is_said_before_anything_starts(home, monkeypatch, capsys):
    root = Signed(home.tls("root.crt").read_bytes(), home.tls("root.key").read_bytes())
    home.tls("server.key").write_bytes(new_server(root, "127.0.0.1", datetime.now(UTC)).key)
    assert serve(monkeypatch, "up", "--home=op") == 2
    assert "does not match tls/server.crt" in capsys.readouterr().err


def test_a_disk_that_is_full_takes_no_certificate_away(home, monkeypatch, capsys):
    before, written, sync = home.tls("server.crt").read_bytes(), [], os.fsync

    def fills(handle):
        written.append(handle)
        if len(written) == 3:  # a file and its folder for the key, then the certificate's file
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", fills)
    assert serve(monkeypatch, "renew", "--home=op") == 2
    assert "renewed.crt: cannot be written" in capsys.readouterr().err
    assert home.tls("server.crt").read_bytes() == before
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(home.tls("server.crt"), home.tls("server.key"))
    monkeypatch.setattr(os, "fsync", sync)
    assert serve(monkeypatch, "renew", "--home=op") == 0
    assert home.tls("server.crt").read_bytes() != before


@pytest.mark.parametrize(
    ("ahead", "remedy"), [("root", "provision in another folder"), ("server", "run wardround-serve renew")]
)
def test_a_certificate_that_is_not_valid_yet_is_said_before_anything_starts(
    ahead, remedy, home, monkeypatch, capsys
):
    """A machine that starts a year ahead makes certificates that nobody takes once its clock is right."""
    now, later = datetime.now(UTC), datetime.now(UTC) + timedelta(days=365)
    root = new_root("r", later if ahead == "root" else now)
    server = new_server(root, "127.0.0.1", later)
    for name, pair in (("root", root), ("server", server)):
        home.tls(f"{name}.crt").write_bytes(pair.certificate)
        home.tls(f"{name}.key").write_bytes(pair.key)
    assert serve(monkeypatch, "up", "--home=op") == 2
    said = capsys.readouterr().err
    assert f"tls/{ahead}.crt: is valid from {later:%Y-%m}" in said
    assert remedy in said


def full_from(monkeypatch, number):
    """Let the disk be full from the so-manieth write on that is to last."""
    written, sync = [], os.fsync

    def fills(handle):
        written.append(handle)
        if len(written) >= number:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", fills)


def test_a_provision_that_was_broken_off_is_completed_by_the_next(tmp_path, monkeypatch, capsys):
    words = ["provision", "--hospital=north", f"--out={tmp_path / 'kits'}"]
    keys = set()
    for number in range(1, 40, 3):
        home = f"--home={tmp_path / str(number)}"
        with monkeypatch.context() as full:
            full_from(full, number)
            code = serve(full, *words, home)
            assert "Traceback" not in capsys.readouterr().err
        if code == 0:
            break
        assert code == 2
        key = tmp_path / f"{number}/operator.key"
        before = key.read_bytes() if key.exists() else None
        assert serve(monkeypatch, *words, home) == 0
        assert before in (None, key.read_bytes())
        there = load_operator_home(tmp_path / str(number))
        assert there.key().public == (tmp_path / f"{number}/operator.key.pub").read_text().strip()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(there.tls("server.crt"), there.tls("server.key"))
        keys.add(there.key().public)
        (tmp_path / "kits/north.kit").unlink()
    assert code == 0
    assert len(keys) == number // 3 > 5


def test_a_home_that_was_in_use_is_not_begun_anew(home, monkeypatch, capsys, tmp_path):
    enrol(monkeypatch, request_of("north", tmp_path))
    before = {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()}
    (home.folder / "operator.json").unlink()
    capsys.readouterr()
    assert serve(monkeypatch, "provision", "--hospital=north", "--home=op", "--out=kits") == 2
    assert "was in use (hospitals): restore it from its backup" in capsys.readouterr().err
    assert all(path.read_bytes() == was for path, was in before.items() if path.name != "operator.json")


def test_where_a_restore_was_broken_off_nothing_is_begun_and_it_is_said(home, monkeypatch, capsys):
    home.folder.joinpath("aside1").mkdir()
    home.folder.joinpath("operator.json").rename(home.folder / "aside1/operator.json")
    for words in (["status"], ["provision", "--hospital=north"]):
        assert serve(monkeypatch, *words, "--home=op") == 2
        assert "a restore was broken off here; run the same" in capsys.readouterr().err


@pytest.mark.parametrize("full", ["enrol", "revoke", "stop"])
def test_a_disk_that_takes_nothing_is_one_line_and_changes_nothing(full, home, monkeypatch, capsys, tmp_path):
    request = request_of("north", tmp_path)
    told = load_join_request(request).fingerprint
    words = {
        "enrol": [f"--request={request}", f"--fingerprint={told}"],
        "revoke": ["--hospital=south"],
        "stop": ["--study=tea"],
    }[full]
    enrol(monkeypatch, request_of("south", tmp_path))
    study = home.study("tea")
    study.folder.mkdir()
    study.terms.write_bytes(b"terms")
    before = {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()}
    capsys.readouterr()

    def refused(*given, **more):
        raise OSError(errno.EROFS, "Read-only file system", "here")

    with monkeypatch.context() as disk:
        for name in ("unlink", "touch"):
            disk.setattr(Path, name, refused)
        assert serve(disk, full, "--home=op", *words) == 2
    said = capsys.readouterr().err
    assert said == "path=here: Read-only file system; put that right, then run this command again\n"
    assert before == {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()}
    assert serve(monkeypatch, full, "--home=op", *words) == 0


def test_a_revocation_is_on_the_disk_before_it_is_said(home, monkeypatch, tmp_path, capsys):
    enrol(monkeypatch, request_of("north", tmp_path))
    synced, sync = [], os.fsync

    def noted(handle):
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    assert serve(monkeypatch, "revoke", "--hospital=north", "--home=op") == 0
    assert synced == [str(home.folder / "hospitals")]


def test_a_reader_that_leaves_is_no_fault(home, monkeypatch, capsys):
    def leaves(*lines):
        raise BrokenPipeError

    monkeypatch.setattr("wardround.server.commands.status.say", leaves)
    with monkeypatch.context() as output, Path(os.devnull).open("w") as left:
        output.setattr(sys, "stdout", left)
        assert serve(output, "status", "--home=op") == 0
    assert capsys.readouterr().err == ""


def test_a_lost_root_is_one_line_with_another_remedy(home, monkeypatch, capsys):
    home.tls("root.key").unlink()
    assert serve(monkeypatch, "renew", "--home=op") == 2
    assert "root.key: cannot be read (No such file or directory); restore it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("provision",), "required: --hospital"),
        (("provision", "--hospital=a/b"), "must be letters"),
        (("provision", "--hospital=a", "--home=op", "--address=other:1"), "this home serves"),
        (("enrol", "--request=none", "--home=op"), "cannot be read"),
        (("revoke", "--hospital=north", "--home=op"), "is not enrolled"),
        (("up", "--home=nowhere"), "run wardround-serve provision"),
        (("up", "--port=1"), "--port: unknown flag; allowed: --help, --bind, --home"),
        (
            ("up", "--home=op", "--bind=192.0.2.5"),
            "--bind=192.0.2.5: Cannot assign requested address; give an",
        ),
        (("up", "--home=op", "--bind=no.such.invalid"), "--bind=no.such.invalid: is no address, and no name"),
        (("stop", "--study=../x", "--home=op"), "study=../x: must be letters"),
        (("stop", "--study=tea", "--home=op"), "is not here"),
        (("resume", "--study=tea", "--home=op"), "has no terms here"),
        (("train", "--home=op"), "required: --study"),
        (("train", "--study=tea", "--home=op", "--quorum=0"), "--quorum=0"),
    ],
)
def test_what_a_person_can_mend_is_one_line(home, monkeypatch, capsys, arguments, said):
    assert serve(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_machine_reads_what_was_done(home, monkeypatch, tmp_path, capsys):
    def answered(*arguments):
        assert serve(monkeypatch, *arguments, "--json") == 0
        return json.loads(capsys.readouterr().out)

    kits = answered("provision", "--hospital=west", "--home=op", "--out=more")["hospitals"]
    assert kits == {
        "west": {"kit": "more/west.kit", "fingerprint": load_kit(Path("more/west.kit")).fingerprint}
    }
    told = load_join_request(request := request_of("west", tmp_path)).fingerprint
    enrolled = answered("enrol", f"--request={request}", f"--fingerprint={told}", "--home=op")
    assert enrolled == {"hospital": "west", "fingerprint": told}
    assert answered("revoke", "--hospital=west", "--home=op") == {"revoked": "west"}
    assert Path(answered("renew", "--home=op")["certificate"]) == home.tls("server.crt")
    key = answered("key", "--out=more.key")
    assert Path(key["public"]).exists()
    asked = ["--study=tea", "--key=more.key", "--out=tea.terms", "training.public_patients={west: 1000}"]
    assert answered("terms", *asked)["hospitals"] == ["west"]
    (home.folder / "studies/tea").mkdir()
    Path("tea.terms").rename(home.folder / "studies/tea/study.terms")
    assert answered("stop", "--study=tea", "--home=op") == {"study": "tea", "stops": True}


def answering(certificate, key):
    """Answer one request over TLS; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listening = socket.create_server(("127.0.0.1", 0))

    def answer():
        with listening, listening.accept()[0] as plain:
            try:
                with context.wrap_socket(plain, server_side=True) as secured:
                    secured.recv(1000)
                    secured.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            except (ssl.SSLError, OSError):
                return

    threading.Thread(target=answer, daemon=True).start()
    return listening.getsockname()[1]


def test_a_hospital_reaches_the_server_and_nobody_else(home, tmp_path):
    write_node_settings(tmp_path / "node", load_kit(Path("kits/north.kit")), tmp_path / "agent.sock")
    settings = load_node_settings(tmp_path / "node")

    def reached_at(port):
        object.__setattr__(settings, "address", f"127.0.0.1:{port}")
        return look_at_server(settings, ask=False).days_left

    assert reached_at(answering(home.tls("server.crt"), home.tls("server.key"))) > 300
    other = begin_operator_home(tmp_path / "other", "127.0.0.1:8443")
    with pytest.raises(ConfigurationError, match=r"not accepted.*new kit"):
        reached_at(answering(other.tls("server.crt"), other.tls("server.key")))
    root = Signed(home.tls("root.crt").read_bytes(), home.tls("root.key").read_bytes())
    old = new_server(root, "127.0.0.1", datetime.now(UTC) - timedelta(days=500))
    (tmp_path / "old.crt").write_bytes(old.certificate)
    (tmp_path / "old.key").write_bytes(old.key)
    assert days_left(tmp_path / "old.crt") < 0
    with pytest.raises(ConfigurationError, match=r"expired.*wardround-serve renew"):
        reached_at(answering(tmp_path / "old.crt", tmp_path / "old.key"))
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        reached_at(1)


def test_a_root_signs_for_the_host_it_is_asked_for():
    root = new_root("root", datetime.now(UTC))
    assert b"BEGIN CERTIFICATE" in new_server(root, "study.example", datetime.now(UTC)).certificate
