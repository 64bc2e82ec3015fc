"""Which hospitals of a study this one knows: itself, its peers, and whom more than t of them vouch for.

A server that lies can put hospitals of its own invention into a study. Each of them helps it, so that a secure sum of
"four" may hold one hospital's patients alone. Whom nobody here knows therefore counts among the t helpers that the
terms provide for (``secure_sum.colluding``).

Why more than t vouchers, and why only members of the study whom this hospital knows itself: the guarantee assumes that
at most t of the study's members help the operator. So of more than t members one at least is honest, and what it signs
is true. Of hospitals outside the study the terms assume nothing; and what a voucher has by others' word would let one
liar vouch for any number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from wardround.protocol.terms.limits import Clause
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.text.section import shown
from wardround.protocol.wire.peer_file import PeerFile


@dataclass(frozen=True)
class Peer:
    """A hospital whose key a person here compared. key: ``ed25519:…``. since: the day, ISO 8601."""

    key: str
    since: str


@dataclass(frozen=True)
class KnownMembers:
    """A study's members by how this hospital knows them, each in exactly one part, in the order of the names.

    direct: itself and its peers. by_vouchers: whom more than t of the direct ones vouch for. unknown: all others, who
    count as helpers of the operator. replaced: members, all unknown, whose name or key this hospital knows with
    another key or name: no study may have them.
    """

    direct: tuple[str, ...]
    by_vouchers: tuple[str, ...]
    unknown: tuple[str, ...]
    replaced: tuple[str, ...] = ()


def known_members(
    peers: Mapping[str, str],
    vouchers: Sequence[PeerFile],
    members: Mapping[str, str],
    own: Mapping[str, str],
    colluding: int,
) -> KnownMembers:
    """Sort a study's members by how this hospital knows them.

    peers, members, own: hospital → signing key; own holds this hospital alone (nothing: no member counts as itself).
    vouchers: verified peer files of anybody; of one signer the latest counts. colluding: t of the terms.
    A voucher counts that is a direct member other than this hospital, under the name by which it is known here. Where
    any peer of this hospital says another key for a member's name, or another name for its key, vouchers do not count
    for that member.
    """
    mine = {**peers, **own}
    direct = {name for name, key in members.items() if mine.get(name) == key}
    replaced = {name for name in members.keys() - direct if _known_otherwise(name, members[name], mine)}
    heard = latest_by_peers(vouchers, peers, own)
    speakers = [file for file in heard if members.get(file.hospital) == file.signing_key]
    vouched = {
        name
        for name in members.keys() - direct - replaced
        if all(file.agrees(name, members[name]) for file in heard)
        and sum(file.peers.get(name) == members[name] for file in speakers) > colluding
    }
    unknown = members.keys() - direct - vouched
    direct_, vouched_, unknown_, replaced_ = (tuple(sorted(s)) for s in (direct, vouched, unknown, replaced))
    return KnownMembers(direct_, vouched_, unknown_, replaced_)


def contradictions(
    peers: Mapping[str, str], vouchers: Sequence[PeerFile], own: Mapping[str, str]
) -> Iterator[str]:
    """Say in one line each what a person must look at: two say two keys of one hospital, or two names of one key.

    They are peers whose latest files count, or ``policy.yaml``.
    """
    by_name: dict[str, tuple[str, str]] = {}
    by_key: dict[str, tuple[str, str]] = {}
    said: list[tuple[str, Mapping[str, str]]] = [("policy.yaml", {**peers, **own})]
    said += [(file.hospital, file.peers) for file in latest_by_peers(vouchers, peers, own)]
    for party, identities in said:
        for name, key in identities.items():
            first_key, keyed = by_name.setdefault(name, (key, party))
            first_name, named = by_key.setdefault(key, (name, party))
            if first_key != key:
                yield _told_apart(keyed, party, f"two keys of {name}")
            elif first_name != name:
                yield _told_apart(named, party, f"two names of one key ({first_name}, {name})")


def _told_apart(one: str, other: str, what: str) -> str:
    return f"{one} and {other} say {what}; ask by telephone which is right, and have the other sign a new peer file"


def peers_clause(known: KnownMembers, sums: SecureSumSettings, min_colluding: int) -> Clause:
    """Give the clause on whom this hospital does not know: they help, and min_colluding others may help beside them."""
    # Where t itself is too small, the clause min_colluding says so.
    room = max(sums.colluding - min_colluding, 0)
    strangers = ", ".join(known.unknown) or "none"
    asked = f"hospitals not known here={len(known.unknown)} ({shown(strangers)})"
    allowed = f"at most {room} (secure_sum.colluding - min_colluding)"
    remedy = (
        "take in their peer files (wardround-hospital peers add FILE), or ask the operator for terms with "
        "privacy.noise=local"
    )
    if known.replaced:
        asked = f"other keys or names than in policy.yaml={shown(', '.join(known.replaced))}"
        allowed = "each hospital under the key that was compared by telephone"
        remedy = "do not approve, and tell these hospitals"
    holds = not known.replaced and len(known.unknown) <= room
    return Clause("peers", asked, allowed, holds, remedy=remedy)


def _known_otherwise(name: str, key: str, known: Mapping[str, str]) -> bool:
    """Whether the name is known with another key, or the key with another name."""
    return known.get(name, key) != key or any(its == key and one != name for one, its in known.items())


def latest_by_peers(
    vouchers: Sequence[PeerFile], peers: Mapping[str, str], own: Mapping[str, str]
) -> list[PeerFile]:
    """Keep each peer's latest file, under the name by which it is known here.

    A hospital's own file vouches for nobody to itself: an old one would bring back whom it removed.
    """
    latest: dict[str, PeerFile] = {}
    for file in sorted(vouchers, key=lambda one: (one.signed_at, one.content)):
        if peers.get(file.hospital) == file.signing_key and file.signing_key not in own.values():
            latest[file.signing_key] = file
    return sorted(latest.values(), key=lambda file: file.hospital)
