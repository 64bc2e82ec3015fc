"""``peers``: the hospitals whose keys a person here compared, whom they vouch for, and what is said of all of them."""

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wardround.client.commands.open_home import OpenHome, open_home, public_key
from wardround.client.commands.terminal import say, table
from wardround.client.home.home import POLICY
from wardround.client.home.peers_folder import keep_peers, kept_peers
from wardround.client.home.policy_peers import write_peers
from wardround.client.policy.peers import Peer, contradictions, latest_by_peers
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.comparison import require_compared
from wardround.protocol.text.say import say_json
from wardround.protocol.text.section import shown
from wardround.protocol.text.text import checked_name
from wardround.protocol.wire.peer_file import check_not_ahead, load_peers, sign_peers
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signing import key_fingerprint


def run(options: Namespace) -> None:
    """List, add or remove peers; sign this hospital's peer file, or take in another's."""
    with open_home(options.home) as opened:
        if opened.home.simulation is not None and options.action != "list":
            raise ConfigurationError(
                "peers: a simulated hospital has none; its studies have no secret to keep"
            )
        _ACTIONS[options.action](opened, options)


def _add(opened: OpenHome, options: Namespace) -> None:
    """Have a person compare the key by telephone; only then is anything written."""
    file = load_peers(Path(options.peer)) if options.key is None else None
    name = file.hospital if file else checked_name(options.peer, "peer")
    key = file.signing_key if file else public_key(options.key)
    if file is not None:
        check_not_ahead(file, opened.now)
    _require_new(opened, name, key)
    fingerprint = key_fingerprint(key)
    says = f"The hospital {name} would become a peer: you answer for it that this key is its own"
    require_compared(f"peer={name}", says, fingerprint, options.fingerprint, "--fingerprint ", "yes")
    peer = Peer(key, opened.now.date().isoformat())
    if file is not None:
        # Before the policy: a file that may not be kept adds nobody, and one without its peer counts for nothing.
        keep_peers(opened.home.peers_folder, file, opened.now)
    write_peers(opened.home.folder / POLICY, {**opened.policy.peers, name: peer})
    if options.json:
        say_json(
            {"peer": name, "key": key, "since": peer.since, "vouches_for": len(file.peers) if file else 0}
        )
        return
    say(f"{name} is a peer since today ({POLICY}: peers); its key has the fingerprint {fingerprint}")
    if file is not None:
        say(f"It vouches for {len(file.peers)} hospitals.")


def _require_new(opened: OpenHome, name: str, key: str) -> None:
    """Refuse this hospital itself, an operator's key, and a name or key that is there already."""
    if key in opened.policy.operators.values():
        raise ConfigurationError(
            f"peer={name}: its key is an operator's, and no hospital's; nothing was done"
        )
    for known, its in (opened.policy.peer_keys | opened.home.identity).items():
        if known == name and its == key:
            whose = "this hospital itself" if known in opened.home.identity else "a peer already"
            raise ConfigurationError(f"peer={name}: is {whose}; nothing was done")
        if known == name:
            raise ConfigurationError(
                f"peer={name}: is known with another key ({key_fingerprint(its)}); nothing was done: ask by telephone "
                f"whether it has a new key, and if so first: peers remove {name}"
            )
        if its == key:
            raise ConfigurationError(
                f"peer={name}: its key is {known}'s; nothing was done: ask both by telephone whose it is"
            )


def _remove(opened: OpenHome, options: Namespace) -> None:
    peers = dict(opened.policy.peers)
    if options.peer not in peers:
        raise ConfigurationError(
            f"peer={shown(options.peer)}: is none; peers: {shown(', '.join(peers) or 'none')}"
        )
    del peers[options.peer]
    write_peers(opened.home.folder / POLICY, peers)
    if options.json:
        say_json({"removed": options.peer})
        return
    say(
        f"{options.peer} is no peer any more, and what it vouched for no longer counts here.",
        "Those whom you gave your peer file still count it: sign a new one and send it (peers sign).",
    )


def _sign(opened: OpenHome, options: Namespace) -> None:
    hospital = opened.home.hospital
    path = options.file or Path(f"{hospital}.peers")
    file = sign_peers(hospital, opened.policy.peer_keys, opened.now, opened.home.key)
    save_signed(file, path)
    if options.json:
        say_json(
            {"file": str(path), "hospital": hospital, "key": file.signing_key, "peers": dict(file.peers)}
        )
        return
    say(
        f"Written to {path}: {hospital}, and {len(file.peers)} hospitals that it vouches for. It holds no secret; "
        "send it to the other hospitals.",
        "Whoever adds you as a peer compares this fingerprint of your key with you by telephone:",
        f"  {key_fingerprint(file.signing_key)}",
    )


def _import(opened: OpenHome, options: Namespace) -> None:
    file = load_peers(options.file)
    where = f"peers={options.file}"
    if file.signing_key in opened.home.identity.values():
        raise ConfigurationError(f"{where}: is this hospital's own; nothing was done")
    if opened.policy.peer_keys.get(file.hospital) != file.signing_key:
        raise ConfigurationError(
            f"{where}: says that it is {file.hospital}'s, and its key {key_fingerprint(file.signing_key)} is no "
            f"peer's of that name; nothing was done: a voucher counts only from a peer: peers add {options.file}"
        )
    keep_peers(opened.home.peers_folder, file, opened.now)
    against = contradictions_of_peers(opened)
    if options.json:
        say_json({"hospital": file.hospital, "vouches_for": dict(file.peers), "contradictions": against})
        return
    say(
        f"{file.hospital} vouches for {len(file.peers)} hospitals, as of {file.signed_at:%Y-%m-%d %H:%M} UTC."
    )
    say(*(f"FAULT: {line}" for line in against))


@dataclass(frozen=True)
class PeerRow:
    """One line of the list. vouched_by: by how many peers; vouches: for how many, None where no file is here."""

    name: str
    key: str
    since: str
    vouched_by: int
    vouches: int | None

    def cells(self) -> tuple[str, ...]:
        """Spell it for a person."""
        vouches = "no file" if self.vouches is None else str(self.vouches)
        return (self.name, key_fingerprint(self.key), self.since, str(self.vouched_by), vouches)


def _list(opened: OpenHome, options: Namespace) -> None:
    rows, unreadable = peer_rows(opened)
    against = contradictions_of_peers(opened)
    if options.json:
        key = opened.home.key.public
        own = {"name": opened.home.hospital, "key": key, "fingerprint": key_fingerprint(key)}
        say_json(
            {
                "this_hospital": own,
                "peers": [{**vars(row), "fingerprint": key_fingerprint(row.key)} for row in rows],
                "contradictions": against,
                "unreadable": list(unreadable),
            }
        )
        return
    fingerprint = key_fingerprint(opened.home.key.public)
    say(f"This hospital is {opened.home.hospital}; its key has the fingerprint {fingerprint}")
    columns = ("hospital", "fingerprint of the key", "peer since", "vouched by", "vouches for")
    if rows:
        table("Peers, and whom they vouch for", columns, [row.cells() for row in rows], columns[3:])
    else:
        say("policy.yaml lists no peer: no study with secure sums can be approved (peers add)")
    say(*(f"FAULT: {line}" for line in (*against, *unreadable)))


def peer_rows(opened: OpenHome) -> tuple[list[PeerRow], Sequence[str]]:
    """Give the peers by name, then the hospitals that are known by vouchers alone; and which files are unreadable."""
    kept = kept_peers(opened.home.peers_folder)
    peers = opened.policy.peers
    files = latest_by_peers(kept.files, opened.policy.peer_keys, opened.home.identity)
    vouches = {file.hospital: len(file.peers) for file in files}
    counts = Counter((name, key) for file in files for name, key in file.peers.items())
    rows = [
        PeerRow(name, peer.key, peer.since, counts[name, peer.key], vouches.get(name))
        for name, peer in sorted(peers.items())
    ]
    keys = {peer.key for peer in peers.values()}
    others = sorted((name, key) for name, key in counts if key not in keys)
    rows += [PeerRow(name, key, "(no peer)", counts[name, key], None) for name, key in others]
    return rows, kept.faults


def contradictions_of_peers(opened: OpenHome) -> list[str]:
    """Say each contradiction in one line, with what was written just now."""
    policy, kept = opened.home.policy.current(), kept_peers(opened.home.peers_folder)
    return list(contradictions(policy.peer_keys, kept.files, opened.home.identity))


_ACTIONS = {"list": _list, "add": _add, "remove": _remove, "sign": _sign, "import": _import}
