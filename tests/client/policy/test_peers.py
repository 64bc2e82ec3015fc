"""Which hospitals of a study are known: attacks by invented ones, strangers, chains, old and contradicting files."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.client.policy.peers import KnownMembers, contradictions, known_members, peers_clause
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.wire.peer_file import PeerFile, sign_peers
from wardround.protocol.wire.signing import new_key

NOW = datetime(2026, 11, 28, tzinfo=UTC)
SIGNERS = {
    name: new_key() for name in ("north", "anna", "bert", "carl", "dora", "emil", "invented", "outside")
}
KEY = {name: key.public for name, key in SIGNERS.items()}
OWN = {"north": KEY["north"]}


def identities(*names: str) -> dict[str, str]:
    return {name: KEY[name] for name in names}


def voucher(hospital: str, *names: str, days: float = 0, **more: str) -> PeerFile:
    """Sign a peer file of one hospital for these names, and for others under other keys."""
    return sign_peers(hospital, {**identities(*names), **more}, NOW + timedelta(days=days), SIGNERS[hospital])


MEMBERS = identities("north", "anna", "bert", "carl", "dora", "emil", "invented")
PEERS = identities("anna", "bert", "carl")


def sort(
    *vouchers: PeerFile,
    colluding: int = 1,
    peers: Mapping[str, str] = PEERS,
    members: Mapping[str, str] = MEMBERS,
) -> KnownMembers:
    return known_members(peers, vouchers, members, OWN, colluding)


def test_without_vouchers_the_hospital_itself_and_its_peers_are_known() -> None:
    assert sort() == KnownMembers(("anna", "bert", "carl", "north"), (), ("dora", "emil", "invented"))


def test_more_than_t_peers_make_one_known() -> None:
    files = [voucher("anna", "dora"), voucher("bert", "dora", "emil"), voucher("carl", "emil", "dora")]
    assert sort(*files, colluding=1).by_vouchers == ("dora", "emil")
    assert sort(*files, colluding=2).by_vouchers == ("dora",)
    assert sort(*files, colluding=3).by_vouchers == ()


@pytest.mark.parametrize("colluding", [1, 2, 3])
def test_an_invented_hospital_for_whom_all_t_helpers_vouch_stays_unknown(colluding: int) -> None:
    helpers = ("anna", "bert", "carl")[:colluding]
    files = [voucher(helper, "invented") for helper in helpers]
    assert "invented" in sort(*files, colluding=colluding).unknown


def test_strangers_vouch_for_nobody() -> None:
    """However many: whoever invents hospitals can invent their vouchers too."""
    files = [voucher("dora", "invented"), voucher("emil", "invented"), voucher("outside", "invented")]
    assert sort(*files).unknown == ("dora", "emil", "invented")


def test_a_peer_outside_the_study_vouches_for_nobody_in_it() -> None:
    """The terms assume that at most t of their members help the operator, and nothing of anybody else."""
    peers = PEERS | identities("outside")
    files = [voucher("outside", "dora"), voucher("anna", "dora")]
    assert "dora" in sort(*files, peers=peers).unknown
    assert "dora" in sort(*files, peers=peers, members=MEMBERS | identities("outside")).by_vouchers


def test_vouchers_make_no_chains() -> None:
    """dora is known by vouchers, and so what dora says counts for nothing."""
    files = [
        voucher("anna", "dora"),
        voucher("bert", "dora"),
        voucher("dora", "emil"),
        voucher("carl", "emil"),
    ]
    assert sort(*files) == KnownMembers(("anna", "bert", "carl", "north"), ("dora",), ("emil", "invented"))


def test_a_removed_peers_vouchers_no_longer_count() -> None:
    files = [voucher("anna", "dora"), voucher("bert", "dora")]
    assert sort(*files).by_vouchers == ("dora",)
    assert "dora" in sort(*files, peers=identities("anna", "carl")).unknown


def test_of_one_signer_the_latest_file_counts_in_any_order_and_once() -> None:
    """bert took dora back: an older file of bert, copied in again under any name, does not vouch for dora."""
    files = [voucher("anna", "dora"), voucher("bert", "dora"), voucher("bert", days=1)]
    assert "dora" in sort(*files).unknown
    assert "dora" in sort(*reversed(files)).unknown
    copies = [voucher("anna", "dora"), voucher("anna", "dora"), voucher("anna", "dora", days=1)]
    assert "dora" in sort(*copies).unknown


def test_the_hospitals_own_file_is_no_voucher_to_itself() -> None:
    """An old one would bring back a peer that it removed."""
    assert "dora" in sort(voucher("north", "dora"), voucher("anna", "dora")).unknown


def test_a_voucher_for_another_key_under_the_same_name_is_seen_and_counts_against_it() -> None:
    files = [voucher("anna", "dora"), voucher("bert", "dora"), voucher("carl", dora=KEY["outside"])]
    assert "dora" in sort(*files).unknown
    lines = list(contradictions(PEERS, files, OWN))
    assert len(lines) == 1
    assert lines[0].startswith("anna and carl say two keys of dora")


def test_a_voucher_for_the_same_key_under_another_name_is_seen_and_counts_against_it() -> None:
    files = [voucher("anna", "dora"), voucher("bert", "dora"), voucher("carl", klinik=KEY["dora"])]
    assert "dora" in sort(*files).unknown
    assert "two names of one key (dora, klinik)" in next(contradictions(PEERS, files, OWN))


def test_what_a_peer_says_of_another_peer_or_of_this_hospital_is_compared_with_the_policy() -> None:
    files = [voucher("anna", bert=KEY["outside"]), voucher("carl", north=KEY["outside"])]
    lines = list(contradictions(PEERS, files, OWN))
    assert any(line.startswith("policy.yaml and anna say two keys of bert") for line in lines)
    assert any(line.startswith("policy.yaml and carl say two keys of north") for line in lines)
    # The hospital's own comparison by telephone stands.
    assert "bert" in sort(*files).direct


def test_one_lying_peer_can_make_others_unknown_but_nobody_known() -> None:
    honest = [voucher("anna", "dora", "emil"), voucher("bert", "dora", "emil")]
    liar = voucher("carl", "invented", dora=KEY["outside"])
    seen = sort(*honest, liar)
    assert (seen.by_vouchers, seen.unknown) == (("emil",), ("dora", "invented"))


def test_a_strangers_contradiction_changes_nothing() -> None:
    honest = [voucher("anna", "dora"), voucher("bert", "dora")]
    files = [*honest, voucher("outside", dora=KEY["invented"])]
    assert sort(*files).by_vouchers == ("dora",)
    assert list(contradictions(PEERS, files, OWN)) == []


def test_a_file_under_another_name_than_the_peers_counts_for_nothing() -> None:
    """anna's key, and the name of a hospital that is not anna."""
    renamed = sign_peers("annas", identities("dora"), NOW, SIGNERS["anna"])
    assert "dora" in sort(renamed, voucher("bert", "dora")).unknown


@pytest.mark.parametrize(
    "put",
    [
        {"anna": KEY["outside"]},  # a peer's name with a key of the server's
        {"north": KEY["outside"]},  # this hospital's own name
        {"anna": KEY["outside"], "annas": KEY["anna"]},  # a peer's key under another name
        {"mine": KEY["north"]},
    ],
)
def test_terms_that_put_another_key_in_a_known_place_are_refused(put: dict[str, str]) -> None:
    seen = sort(members=MEMBERS | put)
    assert set(seen.replaced) == set(put)
    assert set(put) <= set(seen.unknown)
    clause = peers_clause(seen, sums(colluding=6), min_colluding=0)
    assert not clause.holds
    assert clause.name == "peers"
    assert next(iter(put)) in clause.asked
    assert clause.remedy.startswith("do not approve")


def sums(colluding: int) -> SecureSumSettings:
    return SecureSumSettings(threshold=6, colluding=colluding, parameters=3, members=MEMBERS)


@pytest.mark.parametrize(
    ("unknown", "colluding", "least", "holds"),
    [(0, 1, 1, True), (1, 1, 1, False), (1, 2, 1, True), (1, 1, 0, True), (2, 3, 1, True), (3, 3, 1, False)],
)
def test_the_unknown_help_and_the_policys_least_t_may_help_beside_them(
    unknown: int, colluding: int, least: int, holds: bool
) -> None:
    known = KnownMembers(("north",), (), tuple(f"x{n}" for n in range(unknown)))
    clause = peers_clause(known, sums(colluding), least)
    assert clause.holds is holds
    assert "peers add" in clause.remedy
    assert "privacy.noise=local" in clause.remedy


@given(st.data())
def test_at_most_t_liars_make_no_invented_hospital_known(data: st.DataObject) -> None:
    """Any t members lie as they like, honest ones vouch for real hospitals alone: nobody invented is ever known."""
    colluding = data.draw(st.integers(0, 3))
    real = ("north", "anna", "bert", "carl", "dora", "emil")
    liars = data.draw(st.sets(st.sampled_from(real[1:]), max_size=colluding))
    peers = identities(*data.draw(st.sets(st.sampled_from(real[1:]))))
    invented = ("invented", "outside")
    files = []
    for name in (*real[1:], *invented):
        others = [one for one in (*real[1:], *invented) if one != name]
        lies = name in liars or name in invented
        vouched = data.draw(st.sets(st.sampled_from(others)))
        files.append(voucher(name, *(one for one in vouched if lies or one in real)))
    seen = known_members(peers, files, identities(*real, *invented), OWN, colluding)
    assert {"invented", "outside"} <= set(seen.unknown)
    parts = (*seen.direct, *seen.by_vouchers, *seen.unknown)
    assert sorted(parts) == sorted((*real, *invented))


def test_a_file_that_says_nothing_more_is_not_needed() -> None:
    """Whoever has no peers and no vouchers knows itself alone: no such study is permitted."""
    seen = known_members({}, [], MEMBERS, OWN, 1)
    assert seen.direct == ("north",)
    assert not peers_clause(seen, replace(sums(1), colluding=5), 0).holds
