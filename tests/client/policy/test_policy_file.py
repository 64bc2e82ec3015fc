"""policy.yaml: what it may say, and that it is read again when it changes."""

import os
from pathlib import Path

import pytest

from wardround.client.policy.peers import Peer
from wardround.client.policy.policy import Policy
from wardround.client.policy.policy_file import PolicyFile, policy_from_yaml
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.signing import new_key

OPERATOR = new_key().public
FULL = f"""
delta: 1e-5                      # PyYAML reads this as a text
operators: {{consortium: "{OPERATOR}"}}
purposes: [engagement]
contracts: [{"ab" * 32}]
features: [messages.age]
models: [additive, mlp]
max_epsilon_per_study: 1
max_epsilon_per_operator: 2.5
max_epsilon_for_life: 8
max_rounds: 40
max_events_per_patient: 20
min_clip_norm: 0.1
max_clip_norm: 4
min_noise_multiplier: 1
min_patients: 50
require_consent: false
require_approval: false
"""


def test_every_key_is_read() -> None:
    assert policy_from_yaml(FULL.encode()) == Policy(
        delta=1e-5,
        operators={"consortium": OPERATOR},
        purposes=("engagement",),
        contracts=("ab" * 32,),
        features=("messages.age",),
        models=("additive", "mlp"),
        max_epsilon_per_study=1,
        max_epsilon_per_operator=2.5,
        max_epsilon_for_life=8,
        max_rounds=40,
        max_events_per_patient=20,
        min_clip_norm=0.1,
        max_clip_norm=4,
        min_noise_multiplier=1,
        min_patients=50,
        require_consent=False,
        require_approval=False,
    )


def test_what_is_not_said_is_not_allowed() -> None:
    assert policy_from_yaml(b"delta: 1e-5") == Policy(delta=1e-5)


@pytest.mark.parametrize(
    "line",
    [
        "max_rounds: 20.5",
        "max_rounds: -1",
        "max_epsilon_per_study: .nan",
        "max_epsilon_per_study: .inf",
        "max_epsilon_per_study: -1",
        "max_epsilon_per_study: yes",
        "max_epsilon_per_study: much",
        "max_epsilon_per_study: [1]",
        "max_clip_norm: 1e400",
        "delta: 0",
        "delta: 1",
        "delta: -1e-5",
        "models: [Forest]",
        "contracts: [noshow]",
        f"contracts: [{'AB' * 32}]",
        "operators: {'my consortium': ed25519:x}",
        "models: additive",
        "operators: {consortium: key}",
        "operators: [key]",
        "require_approval: 'no'",
        "require_approval: 0",
        "simulation: true",
        "max_epsilon: 1",
        "max_rounds: 1\nmax_rounds: 100000",
        "operators: {}\noperators: {}",
        "{[]: 1}",
        "? [a]\n: 1",
        "a: &a [*a]",
        "!!python/object/apply:os.system [true]",
        "- delta",
        "\x00",
        "'",
        "max_rounds: 2020-13-45",
    ],
)
def test_what_does_not_fit_is_one_line(line: str) -> None:
    content = line if line.startswith("delta") else f"delta: 1e-5\n{line}"
    with pytest.raises(ConfigurationError) as error:
        policy_from_yaml(content.encode())
    assert "\n" not in str(error.value)


def test_a_contracts_name_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigurationError, match=r"contracts=noshow: .*fingerprint.*forecast TERMS"):
        policy_from_yaml(b"delta: 1e-5\ncontracts: [noshow]")


def test_delta_must_be_said() -> None:
    with pytest.raises(ConfigurationError, match="delta"):
        policy_from_yaml(b"max_rounds: 1")


def test_a_change_is_seen_at_once_even_within_the_clock_of_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("delta: 1e-5\nmax_rounds: 1\n")
    policies = PolicyFile(path)
    before, times = policies.current(), path.stat()
    assert policies.current() is before
    path.write_text("delta: 1e-5\nmax_rounds: 2\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert policies.current().max_rounds == 2


def test_a_file_that_became_wrong_or_went_permits_nothing(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(FULL)
    policies = PolicyFile(path)
    policies.current()
    path.write_text(FULL + "max_round: 3\n")
    with pytest.raises(ConfigurationError, match="max_round"):
        policies.current()
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        policies.current()


def test_an_endless_file_is_one_line() -> None:
    with pytest.raises(ConfigurationError, match="larger"):
        PolicyFile(Path("/dev/zero")).current()


def test_peers_are_read_with_their_day() -> None:
    south, west = new_key().public, new_key().public
    rows = f"south: {{key: {south}, since: 2026-11-28}}, west: {{key: {west}, since: 2026-01-02}}"
    text = f"delta: 1e-5\npeers: {{{rows}}}\n"
    policy = policy_from_yaml(text.encode())
    assert policy.peers == {"south": Peer(south, "2026-11-28"), "west": Peer(west, "2026-01-02")}
    assert policy.peer_keys == {"south": south, "west": west}
    assert (policy.min_honest_hospitals, policy.min_colluding) == (2, 1)
    assert policy_from_yaml(b"delta: 1e-5\nmin_honest_hospitals: 5\nmin_colluding: 0\n") == Policy(
        delta=1e-5, min_honest_hospitals=5, min_colluding=0
    )


def test_all_faults_of_the_peers_are_told_at_once() -> None:
    good = new_key().public
    rows = [
        f"a b: {{key: {good}, since: 2026-11-28}}",
        "weak: {key: ed25519:" + "A" * 43 + ", since: 2026-11-28}",
        "short: {key: ed25519:AAAA, since: 2026-11-28}",
        f"day: {{key: {new_key().public}, since: 28.11.2026}}",
        f"more: {{key: {new_key().public}, since: 2026-11-28, trusted: true}}",
        "none: {since: 2026-11-28}",
        f"twin: {{key: {good}, since: 2026-11-28}}",
    ]
    with pytest.raises(ConfigurationError) as caught:
        policy_from_yaml("\n  ".join(["delta: 1e-5\npeers:", *rows]).encode())
    line = str(caught.value)
    for part in ("a b", "weak: key: is a point of small order", "short: key: is not a public key", "day.since",
                 "more.trusted: unknown key", "none.key: is missing", "a b and twin have one key"):  # fmt: skip
        assert part in line, part
    assert "\n" not in line
