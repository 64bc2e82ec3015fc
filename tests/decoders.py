"""Every decoder of bytes that somebody else may have written, with an honest example of each; and mutations."""

import hashlib
import json
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.builders import AGE, CHANNEL, small_contract
from tests.client.outreach.content.modules import GUIDELINES, module_text
from tests.client.outreach.content.test_approvals_file import decision as content_decision
from tests.protocol.wire.test_sum_wire import BODIES
from tests.protocol.wire.test_sum_wire import answer as sum_answer
from tests.protocol.wire.test_sum_wire import request as sum_request
from wardround.client.agent.verified_plan import read_request
from wardround.client.home.home import load_home
from wardround.client.home.round_log import RoundLog
from wardround.client.home.server_releases import ServerReleases
from wardround.client.ledger.entries import make_entry, read_entry
from wardround.client.ledger.head_file import read_head
from wardround.client.ledger.port import NO_ENTRY, MemoryLedger
from wardround.client.ledger.verify import export, verify
from wardround.client.network.supernode import load_node_settings
from wardround.client.outreach.by_page.keys import PageKey
from wardround.client.outreach.content.approvals_file import HEAD, LOG, ContentApprovals
from wardround.client.outreach.content.guidelines import read_guidelines
from wardround.client.outreach.content.module import read_module
from wardround.client.policy.policy import Policy
from wardround.client.policy.policy_file import policy_from_yaml
from wardround.client.preferences.choice import INFO, SUITE, Choice, Wish, open_choice, seal_choice
from wardround.client.preferences.link_token import head_of, read_token, spell_token
from wardround.client.preferences.published import Published, load_published, spelled
from wardround.conf.compose import read_contract
from wardround.conf.settings import ReleaseDecisionSettings
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, Refusal
from wardround.protocol.model.model import initial_weights
from wardround.protocol.model.model_file import model_bytes, read_model
from wardround.protocol.terms.limits import Limits
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.wire.envelope import decode_answer, encode_answer, sign_release, sign_request
from wardround.protocol.wire.kit import KIT, REQUEST, load_join_request, load_kit, sign_join_request, sign_kit
from wardround.protocol.wire.opening import SIGNATURE_AT, STATEMENT_AT
from wardround.protocol.wire.peer_file import PEERS, load_peers, sign_peers
from wardround.protocol.wire.published_policy import FORM as POLICY
from wardround.protocol.wire.published_policy import load_policy, publish_policy
from wardround.protocol.wire.recall import RECALL_FORM, read_recall, sign_recall
from wardround.protocol.wire.signed_file import FileForm, sign_body
from wardround.protocol.wire.signed_model import (
    EXCEPTION_FORM,
    SIGNATURE_FORM,
    read_exception,
    read_signature,
    sign_exception,
    sign_files,
)
from wardround.protocol.wire.signed_terms import FORM as TERMS
from wardround.protocol.wire.signed_terms import sign_terms, signed_terms_from_bytes, signed_terms_to_bytes
from wardround.protocol.wire.signing import Purpose, load_key, load_public_key, new_key, save_key
from wardround.protocol.wire.speaker import SPEAKER_BYTES, Speaker
from wardround.protocol.wire.sum_wire import (
    decode_sum_answer,
    decode_sum_request,
    encode_sum_answer,
    encode_sum_head,
)
from wardround.protocol.wire.wire import decode_plan, decode_release, encode_plan, encode_release
from wardround.server.algorithm.rounds import init
from wardround.server.evaluation.evaluation import TableSum
from wardround.server.store.agent_releases import agents_heard
from wardround.server.store.certificates import new_root
from wardround.server.store.checkpoint import resume, save_state
from wardround.server.store.event_log import AGENT, EventLog, read_events
from wardround.server.store.held_heads import HeldHeads
from wardround.server.store.kept_sums import load_sum, save_sum
from wardround.server.store.operator_home import load_operator_home
from wardround.server.study.release_decision_file import begin_release_decision, load_release_decision

KEY = new_key()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "ab" * 32
NODE_KEY = (
    ec.derive_private_key(7, ec.SECP384R1())
    .public_key()
    .public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    .decode()
)
CONTRACT = small_contract(
    decided_at="decided",
    outcome_at="due",
    topic={"column": "topic", "sensitive": ["maternity"]},
    features={"age": {**AGE, "table": "patients"}, "channel": CHANNEL},
    crosses=[["age", "channel"]],
    groups=["age"],
)
Decode = Callable[[bytes], object]
Wrap = Callable[[bytes], bytes]


class Decoder:
    """One reader. honest: what it accepts; inner: what a listed signer answers for, and wrap: how it is signed."""

    def __init__(
        self, name: str, honest: bytes, decode: Decode, inner: bytes = b"", wrap: Wrap | None = None
    ) -> None:
        """Name it."""
        self.name, self.honest, self.decode, self._inner, self._wrap = name, honest, decode, inner, wrap

    def mutated(self, rng: random.Random) -> bytes:
        """Spoil the honest bytes; of what is signed half the time what its signer would answer for."""
        if self._wrap is None or rng.random() < 0.5:
            return mutate(self.honest, rng)
        return self._wrap(mutate(self._inner, rng))


def _signed(name: str, form: FileForm, honest: bytes, decode: Decode) -> Decoder:
    return Decoder(
        name, honest, decode, honest[form.line_bytes : -1], lambda body: sign_body(form, body, KEY)
    )


def decoders(folder: Path) -> list[Decoder]:
    """Make all of them; whatever reads a file reads it in ``folder``."""
    contract = contract_from_mapping(CONTRACT)
    terms = _terms(contract)
    return [
        *_wire(terms),
        *_signed_files(contract, terms, folder),
        *_hospital(folder),
        *_operator(terms, folder),
    ]


def _terms(contract: Contract) -> Terms:
    return Terms(
        study="tea",
        contract=contract,
        model=ModelSettings(kind="wide_deep", hidden=(4,)),
        privacy=PrivacySettings(),
        training=TrainingSettings(public_patients={"north": 1000}),
        noise_multiplier=20.0,
    )


def _wire(terms: Terms) -> list[Decoder]:
    weights = initial_weights(terms.model, terms.contract.layout).astype(np.float32)
    labels = {"study": "tea", "hospital": "north", "round": 1, "terms_fingerprint": terms.fingerprint}
    plan = RoundPlan(**labels, weights=weights, ledger_head=DIGEST)  # type: ignore[arg-type]
    release = Release(**labels, weights_digest=DIGEST, vector=weights, ledger_head=DIGEST)  # type: ignore[arg-type]
    payload = signed_terms_to_bytes(sign_terms(terms, KEY))
    answer = encode_answer(sign_release(release, KEY))
    policy, ledger = Policy(delta=1e-5, operators={"consortium": KEY.public}), MemoryLedger()

    def ask(file: bytes) -> bytes:
        return sign_request(file, plan, NOW + timedelta(days=1), KEY)

    def by_a_listed_operator(body: bytes) -> bytes:
        return ask(sign_body(TERMS, body, KEY))

    def read(content: bytes) -> object:
        return read_request(content, policy, ledger, NOW)

    def by_another_release(speaker: bytes) -> bytes:
        """A request whose first 40 bytes are anything, signed by a listed operator all the same."""
        whole = ask(payload)
        signed = speaker[:SPEAKER_BYTES].ljust(SPEAKER_BYTES, b"\0") + whole[SPEAKER_BYTES:SIGNATURE_AT]
        return signed + KEY.sign(Purpose.PLAN, signed) + whole[STATEMENT_AT:]

    return [
        _signed("terms", TERMS, payload, signed_terms_from_bytes),
        Decoder("plan", encode_plan(plan), decode_plan),
        Decoder("release", encode_release(release), decode_release),
        *_sum_decoders(),
        Decoder("request", ask(payload), read, payload[TERMS.line_bytes : -1], by_a_listed_operator),
        Decoder("opening", ask(payload), read, ask(payload)[:SPEAKER_BYTES], by_another_release),
        Decoder("answer", answer, decode_answer),
        Decoder("refusal", encode_answer(Refusal("budget", "x")), decode_answer),
    ]


def _sum_decoders() -> list[Decoder]:
    """Frames and bodies of a secure sum: sizes as of three members, two slots and five numbers."""
    request, answer = sum_request(), sum_answer()
    frames = [
        Decoder("sum request", encode_sum_head(request) + request.body, decode_sum_request),
        Decoder("sum answer", encode_sum_answer(answer), decode_sum_answer),
    ]
    return [*frames, *(Decoder(f"sum body {name}", body, read) for name, (body, read) in BODIES.items())]


def _signed_files(contract: Contract, terms: Terms, folder: Path) -> list[Decoder]:
    root = new_root("root", NOW).certificate.decode()
    weights = initial_weights(terms.model, contract.layout)
    exception = sign_exception(
        KEY, study="tea", terms=DIGEST, weights=DIGEST, limits=["auc"], person="Ada", reason="urgent"
    )
    model = model_bytes(contract, terms.model, weights, {"study": "tea", "simulation": "false"})
    signature = sign_files(KEY, "tea", DIGEST, {"model.safetensors": model, "card.html": b"x"}, exception)
    request = sign_join_request("north", NODE_KEY, KEY).content
    recall = sign_recall(
        KEY, study="tea", terms="ab" * 32, model="cd" * 32, day=date(2026, 5, 3), person="Dr. W", reason="why"
    )
    peers = sign_peers("north", {"south": new_key().public}, NOW, KEY)
    policy = publish_policy("north", Limits(delta=1e-5, models=("additive",)), NOW, KEY)
    return [
        _signed(
            "kit", KIT, sign_kit("north", "study.example:8443", root, KEY).content, _by_file(folder, load_kit)
        ),
        _signed("join request", REQUEST, request, _by_file(folder, load_join_request)),
        _signed("published policy", POLICY, policy.content, _by_file(folder, load_policy)),
        _signed("peer file", PEERS, peers.content, _by_file(folder, load_peers)),
        Decoder("model", model, lambda content: read_model(content, contract, "m")),
        _signed("model signature", SIGNATURE_FORM, signature, lambda content: read_signature(content, "m")),
        _signed("exception", EXCEPTION_FORM, exception.content, lambda content: read_exception(content, "e")),
        _signed("recall", RECALL_FORM, recall.content, lambda content: read_recall(content, "r")),
        Decoder("public key", f"{KEY.public}\n".encode(), _by_file(folder, load_public_key)),
    ]


def _hospital(folder: Path) -> list[Decoder]:
    home = folder / "home"
    (home / "keys").mkdir(parents=True)
    save_key(KEY, home / "keys/hospital.key")
    (home / "keys/patients.key").write_text("ab" * 32)
    (home / "keys/patients.key").chmod(0o600)
    settings = {
        "hospital": "north",
        "socket": "run/agent.sock",
        "tables": {"messages": {"path": "m.csv", "columns": {"patient": "pat_no"}}},
        "simulation": {"seed": 7, "as_of": "2026-01-01T00:00:00+00:00"},
    }
    policy = {
        "delta": 1e-5,
        "operators": {"consortium": KEY.public},
        "peers": {"south": {"key": KEY.public, "since": "2026-11-28"}},
        "purposes": ["engagement"],
        "contracts": [DIGEST],
        "models": ["additive"],
        "max_epsilon_per_study": 1.0,
        "max_rounds": 20,
        "require_consent": True,
    }
    fields = {"topic": "ledger_begun", "reason": "", "person": ""}
    entry = make_entry("note", 1, NOW, NO_ENTRY, fields, KEY)
    line = canonical_json({"hospital": "north", "address": "study.example:8443", "socket": "/run/agent.sock"})
    key = (home / "keys/hospital.key").read_bytes()
    return [
        Decoder("hospital.yaml", _yaml(settings), lambda content: _home(home, content)),
        Decoder("policy.yaml", _yaml(policy), policy_from_yaml),
        Decoder(
            "contract", _yaml(CONTRACT), _by_file(folder, lambda path: read_contract(path, "data.contract"))
        ),
        Decoder("ledger entry", entry.body, lambda body: read_entry(body, entry.signature)),
        Decoder("ledger export", export([entry]), lambda content: verify(content, KEY.public)),
        Decoder(
            "ledger head", b'{"hash":"%b","sequence":1}\n' % DIGEST.encode(), _by_file(folder, read_head)
        ),
        Decoder("servers.json", _servers(folder), _by_file(folder, lambda path: ServerReleases(path).read())),
        Decoder("rounds.jsonl", _round_line(), _by_file(folder, lambda path: RoundLog(path).read())),
        Decoder(
            "SuperNode's settings", line, _in_folder(folder / "node", "settings.json", load_node_settings)
        ),
        Decoder("private key", key, _by_file(folder, load_key, 0o600)),
        Decoder(
            "content module", module_text().encode(), lambda content: read_module(content, "visit.en.txt")
        ),
        *_page(folder),
        Decoder("guidelines.yaml", _yaml(GUIDELINES), read_guidelines),
        _content_log(folder / "approvals"),
    ]


def _page(folder: Path) -> list[Decoder]:
    """What the patients' page is given, and what it gives."""
    key = PageKey(1, bytes(range(32)))
    token = spell_token(head_of(1, date(2027, 1, 30)), bytes(40), key.mark)
    choice = Choice(id="0" * 32, token=token, at=datetime(2026, 12, 1, tzinfo=UTC), wish=Wish(stop=True))
    page = Published(
        name="North", url="https://choose.north.example", telephone="555", timezone="UTC",
        topics={"visits": {"en": "Visits"}}, channels=("sms",), public_key=key.public, marks={1: key.mark},
    )  # fmt: skip
    public = X25519PublicKey.from_public_bytes(key.public)

    def opened(text: bytes) -> object:
        return found_or_refused(open_choice(SUITE.encrypt(text, public, info=INFO), key.private))

    def found_or_refused(found: object) -> object:
        if found is None:
            raise ConfigurationError("none")
        return found

    def link(content: bytes) -> object:
        return found_or_refused(read_token(content.decode("latin-1"), {1: key.mark}))

    text = SUITE.decrypt(
        seal_choice(choice, key.public), X25519PrivateKey.from_private_bytes(key.private), info=INFO
    )
    return [
        Decoder("link", token.encode(), link),
        Decoder("choice", text, opened),
        Decoder("preferences.json", spelled(page), _by_file(folder, load_published)),
    ]


def _content_log(folder: Path) -> Decoder:
    """One decision; its head is not there yet, as after a crash."""
    approvals = ContentApprovals(folder, KEY.public)
    approvals.add(content_decision(1), KEY)
    honest = (folder / LOG).read_bytes()
    (folder / HEAD).unlink()

    def signed(body: bytes) -> bytes:
        return KEY.sign(Purpose.CONTENT, body).hex().encode() + b" " + body + b"\n"

    def decode(content: bytes) -> object:
        (folder / LOG).write_bytes(content)
        return approvals.read()

    return Decoder("content.log", honest, decode, honest.partition(b" ")[2][:-1], signed)


def _operator(terms: Terms, folder: Path) -> list[Decoder]:
    state = init(terms)
    checkpoint = save_state(folder / "checkpoint", state).read_bytes()
    found = TableSum(
        round=1,
        weights_digest=DIGEST,
        planned=1,
        total=np.ones(4),
        accepted=("north",),
        rejected=(),
        missing=(),
    )
    kept = save_sum(folder / "kept", terms.fingerprint, found).read_bytes()
    log = folder / "events"
    EventLog(log).write("started", study="tea", round=1, hospitals=["north"])
    EventLog(log).write(AGENT, hospital="north", protocol=3, program="0.3.0")
    begin_release_decision(folder / "release_decision", ReleaseDecisionSettings())

    def heads(content: bytes) -> object:
        (folder / "heads").mkdir(exist_ok=True)
        (folder / "heads/north.heads").write_bytes(content)
        return HeldHeads(folder / "heads").newest("north")

    return [
        Decoder("checkpoint", checkpoint, _by_hash(folder / "checkpoints", lambda at: resume(at, terms))),
        Decoder("kept sum", kept, _by_hash(folder / "sums", lambda at: load_sum(at, terms.fingerprint, 1))),
        Decoder(
            "event log", log.read_bytes(), _by_file(folder, lambda path: agents_heard(read_events(path)))
        ),
        Decoder(
            "release decision",
            (folder / "release_decision").read_bytes(),
            _by_file(folder, load_release_decision),
        ),
        Decoder("held heads", f"{DIGEST}\n".encode(), heads),
        Decoder(
            "operator's settings",
            b'{"address":"127.0.0.1:8443"}\n',
            _in_folder(folder / "operator", "operator.json", load_operator_home),
        ),
    ]


def _yaml(plain: object) -> bytes:
    return yaml.safe_dump(plain).encode()


def _servers(folder: Path) -> bytes:
    ServerReleases(folder / "servers").note(KEY.public, Speaker(3, "0.3.0"), NOW)
    return (folder / "servers").read_bytes()


def _round_line() -> bytes:
    plain = {
        "account": "training",
        "fault": "",
        "round": 1,
        "study": "tea",
        "time": "2026-01-01T00:00:00+00:00",
    }
    return canonical_json(plain) + b"\n"


def _home(home: Path, content: bytes) -> object:
    (home / "hospital.yaml").write_bytes(content)
    return load_home(home)


def _by_file(folder: Path, load: Callable[[Path], object], mode: int = 0o644) -> Decode:
    def decode(content: bytes) -> object:
        path = folder / "file"
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        return load(path)

    return decode


def _in_folder(folder: Path, name: str, load: Callable[[Path], object]) -> Decode:
    def decode(content: bytes) -> object:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        return load(folder)

    return decode


def _by_hash(folder: Path, load: Callable[[Path], object]) -> Decode:
    """Put a file under the name that fits its bytes, as whoever can write there would."""

    def decode(content: bytes) -> object:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        name = f"round-000001-{hashlib.sha256(content).hexdigest()}.safetensors"
        (folder / name).write_bytes(content)
        return load(folder)

    return decode


# What breaks readers: numbers, depth, repetition, references, and letters that move or hide.
_TOKENS = (
    b"1e999", b"-1e999", b"1" * 5000, b"0.1e-400", b"NaN", b"Infinity", b"-0", b"9223372036854775808", b"1.5",
    b"[" * 3000, b"{" * 300, b'{"a":' * 300, b"]" * 50, b"- " * 2000, b"? " * 300, b'"' * 3, b"'" * 3,
    b"&a [*a,*a]", b"*a", b"!!python/object:os.system x", b"<<: {a: 1}", b"---\n", b"...\n", b"%YAML 1.1\n",
    b"null", b"true", b"[]", b"{}", b'""', b"0", b"no", b"12:30", b"010", b"~",
    b"\x00", b"\x1b[2J", b"\r", b"\n", b"\t", b"\x7f", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"\\u0000",
    "\u202e\u2066\u200b\ufeff\u2028".encode(), "\u3164\u034f".encode(), ("e" + "\u0301" * 50).encode(),
    b"x" * 70_000, b"ed25519:" + b"A" * 43, b"ab" * 32, b"2026-01-01T00:00:00+00:00", b"9999-12-31T23:59:59-23:59",
)  # fmt: skip


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Spoil bytes in one to three ways."""
    for _ in range(rng.randint(1, 3)):
        content = rng.choice(_WAYS)(content, rng)
    return content


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 8))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(content: bytes, rng: random.Random) -> bytes:
    first, last = sorted(rng.randint(0, len(content)) for _ in range(2))
    return rng.choice((content[:first], content[last:], content[:first] + content[last:]))


def _repeat(content: bytes, rng: random.Random) -> bytes:
    first, last = sorted(rng.randint(0, len(content)) for _ in range(2))
    return content[:last] + content[first:last] * rng.choice((1, 2, 50)) + content[last:]


def _insert(content: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(content))
    return content[:at] + rng.choice(_TOKENS) + content[at + rng.choice((0, 0, 1, 5)) :]


def _replace_value(content: bytes, rng: random.Random) -> bytes:
    """Put another value in a place of JSON or YAML, where the bytes are that."""
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError):
        try:
            plain = yaml.safe_load(content)
        except (yaml.YAMLError, ValueError, RecursionError):
            return _insert(content, rng)
    try:
        holder, places = plain, list(_places(plain))
    except RecursionError:  # an alias that YAML was given before: a list within itself
        return _insert(content, rng)
    if not places:
        return _insert(content, rng)
    *path, last = rng.choice(places)
    for key in path:
        holder = holder[key]
    holder[last] = rng.choice(_VALUES)
    try:
        changed = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (
        TypeError,
        ValueError,
        RecursionError,
    ):  # YAML that was spoilt before: keys of two types, dates, circles
        return _insert(content, rng)
    return changed.encode(errors="replace")


def _places(plain: object, path: tuple[Any, ...] = ()) -> Any:
    items = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1e300, 2**62, 10**30, 0.5, "", " ", "x" * 5000, "a\nb", "\x1b[8m", "\u202e", "../x", [], {},
    [[]], [None], {"a": 1}, ["x"] * 3000, [["age", "channel"]] * 2000, {str(i): 1 for i in range(3000)}, "NaN",
    "2026-01-01", "ed25519:" + "A" * 43, "0001-01-01T00:00:00+23:59", "\uff19\uff19", "ab" * 32,
)  # fmt: skip
_WAYS = (_flip, _cut, _repeat, _insert, _insert, _replace_value, _replace_value)
