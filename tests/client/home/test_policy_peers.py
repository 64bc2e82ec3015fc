"""The peers of policy.yaml, rewritten: a person's own lines stay, and what does not read back is not written."""

from pathlib import Path

import pytest

from wardround.client.home.policy_peers import with_peers, write_peers
from wardround.client.home.settings_text import NewHome, policy_text
from wardround.client.policy.peers import Peer
from wardround.client.policy.policy_file import policy_from_yaml
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.signing import new_key

SOUTH, WEST = Peer(new_key().public, "2026-11-28"), Peer(new_key().public, "2026-12-01")
NEW = policy_text(NewHome(hospital="north"))


def test_a_new_homes_policy_keeps_every_line_of_its_own() -> None:
    once = with_peers(NEW.encode(), {"south": SOUTH})
    assert policy_from_yaml(once).peers == {"south": SOUTH}
    twice = with_peers(once, {"south": SOUTH, "no": WEST})
    assert policy_from_yaml(twice).peers == {"south": SOUTH, "no": WEST}
    assert with_peers(twice, {}) == NEW.encode()
    kept = [line for line in NEW.splitlines() if line and line != "peers: {}"]
    assert [line for line in twice.decode().splitlines() if line in kept] == kept


@pytest.mark.parametrize(
    "written",
    [
        "delta: 1e-5\n",
        "delta: 1e-5",
        "peers:\ndelta: 1e-5\n",
        f"peers: {{south: {{key: {SOUTH.key}, since: 2026-11-28}}}}\ndelta: 1e-5\n",
        f"peers:\n  # a friend\n\n  south:\n    key: {SOUTH.key}\n    since: 2026-11-28\n# mine\ndelta: 1e-5\n",
        f"delta: 1e-5\npeers:\n  south: {{key: {SOUTH.key},\n    since: 2026-11-28}}",
    ],
)
def test_however_the_peers_were_written_they_are_replaced(written: str) -> None:
    changed = with_peers(written.encode(), {"west": WEST})
    assert policy_from_yaml(changed).peers == {"west": WEST}
    assert policy_from_yaml(changed).delta == 1e-5
    assert ("# mine" in changed.decode()) == ("# mine" in written)


@pytest.mark.parametrize(
    "written",
    [
        f"peers: {{south: {{key: {SOUTH.key},\nsince: 2026-11-28}}}}\ndelta: 1e-5\n",
        f'"peers":\n  south:\n    key: {SOUTH.key}\n    since: 2026-11-28\ndelta: 1e-5\n',
        "delta: 1e-5\nrounds:\n",  # was no policy before
    ],
)
def test_what_does_not_read_back_is_not_written(tmp_path: Path, written: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(written)
    with pytest.raises(ConfigurationError):
        write_peers(path, {"west": WEST})
    assert path.read_text() == written
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_mean_something_in_yaml_are_names() -> None:
    peers = dict.fromkeys(("no", "null", "1e5", "2026-11-28", "007", "true"), SOUTH)
    for name, peer in peers.items():
        assert policy_from_yaml(with_peers(NEW.encode(), {name: peer})).peers == {name: peer}


def test_the_files_mode_stays(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(NEW)
    path.chmod(0o640)
    write_peers(path, {"south": SOUTH})
    assert path.stat().st_mode & 0o777 == 0o640
    assert policy_from_yaml(path.read_bytes()).peers == {"south": SOUTH}
