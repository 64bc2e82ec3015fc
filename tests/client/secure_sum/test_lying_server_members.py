"""What a lying server computes from the answers of hospitals' own code: at most one sum, of m honest ones or more.

``client.secure_sum.member`` deals, masks and gives, with AES replaced by a count: PRG(key) is 1 at a place of its own
for each key and 0 elsewhere, so that a masked release shows which masks are on it. The server puts secrets together
from the very shares that it was given, and takes off what it then can. Beside it: ``test_lying_server.py``, by formula.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations, combinations_with_replacement, product

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from wardround.client.secure_sum.member import SumMember, deal, give, mask, member_of, take
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.secure_sum.exchange import BroughtDealing, BroughtShares, RosterKeys, Survivors
from wardround.protocol.secure_sum.keys import StudySecret
from wardround.protocol.secure_sum.label import Slot, seed_label
from wardround.protocol.secure_sum.masks import own_mask_key, pair_mask_key
from wardround.protocol.secure_sum.seal import SealContext, ShareKind, share_digest
from wardround.protocol.secure_sum.sharing import recover_secret
from wardround.protocol.secure_sum.thresholds import Thresholds, default_thresholds
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_roster import join_roster, sign_member_keys

SLOT, TERMS, LABEL = Slot("training", "round", 1), "ab" * 32, b"l" * 32
SIGNER = [new_key() for _ in range(12)]
Asked = frozenset[int]
"""Survivors that one hospital is told."""


class Counted:
    """The counting PRG: a place for each key, in the order in which keys come."""

    def __init__(self, first: int) -> None:
        self.first, self.places = first, dict[bytes, int]()

    def add(self, vector: np.ndarray, key: bytes, *, negative: bool = False) -> None:
        place = self.first + self.places.setdefault(key, len(self.places))
        vector[place] += np.uint64(2**64 - 1) if negative else np.uint64(1)


class LyingServer:
    """All members of one study, honest ones first; what each sent, and what it gives for any survivors."""

    def __init__(self, thresholds: Thresholds, monkeypatch: pytest.MonkeyPatch) -> None:
        self.thresholds = thresholds
        self.count, self.honest = thresholds.hospitals, thresholds.hospitals - thresholds.colluding
        self.members = self._set_up()
        self.prg = Counted(self.count)
        with monkeypatch.context() as patch:
            patch.setattr("wardround.protocol.secure_sum.masks.add_stream", self.prg.add)
            self.sent = [self._sent(member) for member in self.members]
        self._given: dict[tuple[int, Asked], dict[int, tuple[ShareKind, bytes]]] = {}
        self._learned: dict[tuple[Asked, Asked], int] = {}
        self._known: dict[tuple[int, ShareKind], set[int]] = {}

    def _set_up(self) -> list[SumMember]:
        names = [f"h{number:02d}" for number in range(1, self.count + 1)]
        secrets = {name: StudySecret(derive_key("lying", self.count, name)) for name in names}
        signers = dict(zip(names, SIGNER, strict=False))
        keys = RosterKeys(
            tuple(
                sign_member_keys(secrets[name], (SLOT,), terms=TERMS, hospital=name, key=key)
                for name, key in signers.items()
            )
        )
        identities = {name: key.public for name, key in signers.items()}
        roster = join_roster("tea", TERMS, self.thresholds, (SLOT,), identities, keys)
        members = [member_of(roster, name, TERMS, secrets[name]) for name in names]
        self.dealings = [deal(member, signers[name]) for member, name in zip(members, names, strict=True)]
        self.opened = []
        for member in members:
            parts = (BroughtDealing(one.signature, one.share_for(member.index)) for one in self.dealings)
            failed, shares = take(member, BroughtShares(tuple(parts)))
            assert failed == ()
            self.opened.append(shares)
        return members

    def _sent(self, member: SumMember):
        # The release itself is 1 at its hospital's place.
        integers = np.zeros(self.count + self.count * (self.count + 1) // 2, np.int64)
        integers[member.index - 1] = 1
        return mask(member, integers, LABEL, SLOT, Keystream(derive_key("lying mask", member.index)))

    def given(self, index: int, survivors: Asked) -> dict[int, tuple[ShareKind, bytes]]:
        """What a member gives for these survivors: by member, of what the share is, and the share."""
        if (index, survivors) not in self._given:
            told = tuple(sorted(survivors))
            sealed = tuple(self.sent[dealer - 1].seed_shares[index - 1] for dealer in told)
            shares = give(
                self.members[index - 1], Survivors(LABEL, told, sealed), SLOT, self.opened[index - 1]
            )
            found = {
                dealer: (self._kind(dealer, index, share), share) for dealer, share in shares.shares.items()
            }
            self._given[index, survivors] = found
        return self._given[index, survivors]

    def _kind(self, dealer: int, receiver: int, share: bytes) -> ShareKind:
        """Find out by the hashes that the dealer sent openly."""
        dealt = {
            ShareKind.SEED: (self.sent[dealer - 1].seed_shares, seed_label(SLOT, LABEL)),
            ShareKind.SLOT_KEY: (self.dealings[dealer - 1].slots[0], SLOT.digest()),
        }
        roster = self.members[0].roster.digest
        (kind,) = [
            kind
            for kind, (shares, label) in dealt.items()
            if share_digest(SealContext(dealer, receiver, kind, roster, label), share)
            == shares[receiver - 1].digest
        ]
        return kind

    def learned(self, answers: Sequence[Asked]) -> int:
        """Give how many honest releases are in the one sum that the server can compute, 0 for none.

        answers: what each honest member is told. Asserts that there is no second sum, and no other combination.
        """
        held: dict[tuple[int, ShareKind], list[tuple[int, bytes]]] = {}
        for index in range(1, self.count + 1):
            everybody = frozenset(range(1, self.count + 1))
            # Helpers give both: whatever they hold.
            told = [answers[index - 1]] if index <= self.honest else [everybody]
            for dealer, (kind, share) in (pair for one in told for pair in self.given(index, one).items()):
                held.setdefault((dealer, kind), []).append((index, share))
            if index > self.honest:
                for dealer, (share,) in enumerate(self.opened[index - 1], 1):
                    held.setdefault((dealer, ShareKind.SLOT_KEY), []).append((index, share))
        whole = {what: shares for what, shares in held.items() if len(shares) >= self.thresholds.threshold}
        for what, shares in whole.items():
            if what not in self._known:
                self._known[what] = self._places(*what, shares)
        opened, out = (
            frozenset(dealer for dealer, kind in whole if kind is which)
            for which in (ShareKind.SEED, ShareKind.SLOT_KEY)
        )
        if (opened, out) not in self._learned:
            self._learned[opened, out] = self._sum(opened, out)
        return self._learned[opened, out]

    def _places(self, dealer: int, kind: ShareKind, shares: Sequence[tuple[int, bytes]]) -> set[int]:
        """Put a secret together, and say which masks it gives: places of the counting PRG."""
        secret = recover_secret(shares[: self.thresholds.threshold], self.thresholds.threshold)
        if kind is ShareKind.SEED:
            keys = [own_mask_key(secret, dealer, LABEL)]
        else:
            public = self.members[0].roster.slot_keys(SLOT)
            others = (other for other in range(1, self.count + 1) if other != dealer)
            keys = [pair_mask_key(secret, dealer, other, public, LABEL) for other in others]
        return {self.prg.places[key] for key in keys}  # KeyError for a mask that is on no release

    def _sum(self, opened: Asked, out: Asked) -> int:
        known = {place for dealer in opened for place in self._known[dealer, ShareKind.SEED]}
        known |= {place for dealer in out for place in self._known[dealer, ShareKind.SLOT_KEY]}
        # What the helpers hold is known: their own masks, and those that they share with others.
        for index in range(self.honest + 1, self.count + 1):
            known |= set(np.flatnonzero(self.sent[index - 1].masked[self.count :]))
        releases = np.array([one.masked for one in self.sent[: self.honest]]).astype(np.int64)
        unknown = [self.count + place for place in range(len(self.prg.places)) if place not in known]
        masks = releases[:, unknown].astype(float)
        _, values, vectors = np.linalg.svd(masks.T if unknown else np.zeros((1, self.honest)))
        free = vectors[int((values > 1e-9).sum()) :]
        assert len(free) <= 1
        if not len(free):
            return 0
        weights = free[0] / np.abs(free[0]).max()
        inside = np.abs(weights) > 1e-9
        assert np.allclose(weights[inside], weights[inside][0])
        return int(inside.sum())

    def told(self) -> list[Asked]:
        """Every set of survivors that a member answers; helpers are in, which only helps."""
        everybody = frozenset(range(1, self.count + 1))
        most = min(self.count - self.thresholds.threshold, self.honest)
        sizes = range(most + 1)
        return [
            everybody - set(gone) for size in sizes for gone in combinations(range(1, self.honest + 1), size)
        ]


def smallest(server: LyingServer, choices: Iterable[Sequence[Asked]]) -> int:
    return min(size for size in (server.learned(answers) for answers in choices) if size)


ALL = [Thresholds(H, t, q) for H in (3, 4, 5) for t in range(H - 1) for q in range((H + t) // 2 + 1, H + 1)]


@pytest.mark.parametrize("thresholds", [one for one in ALL if one != Thresholds(5, 0, 3)], ids=str)
def test_every_choice_of_survivors_for_each_hospital(
    thresholds: Thresholds, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = LyingServer(thresholds, monkeypatch)
    assert smallest(server, product(server.told(), repeat=server.honest)) == thresholds.honest_shares


@pytest.mark.slow
def test_every_choice_of_survivors_for_five_hospitals_of_which_three_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Members are alike: which of them was told a set makes no difference."""
    server = LyingServer(Thresholds(5, 0, 3), monkeypatch)
    assert server.thresholds.honest_shares == 2
    assert smallest(server, combinations_with_replacement(server.told(), 5)) == 2


def most_excluded(thresholds: Thresholds) -> list[set[int]]:
    """Say whom to call gone at each honest hospital, to keep as many honest ones out of the sum as flow allows.

    Each hospital may call H - q of them gone, each of them needs q - t such votes: a maximum flow says whether there
    is a way, and gives it.
    """
    honest, needed = thresholds.hospitals - thresholds.colluding, thresholds.shares_for_reader
    found: list[set[int]] = [set() for _ in range(honest)]
    for excluded in range(1, honest + 1):
        source, sink = honest + excluded, honest + excluded + 1
        capacity = np.zeros((sink + 1, sink + 1), np.int32)
        capacity[source, :honest] = thresholds.hospitals - thresholds.threshold
        capacity[:honest, honest : honest + excluded] = 1
        capacity[honest : honest + excluded, sink] = needed
        flow = maximum_flow(csr_array(capacity), source, sink)
        if flow.flow_value < excluded * needed:
            break
        votes = flow.flow.toarray()[:honest, honest : honest + excluded]
        found = [set(1 + np.flatnonzero(row > 0)) for row in votes]
    return found


def check_extremal(thresholds: Thresholds, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = most_excluded(thresholds)
    assert len(gone) - len(set().union(*gone)) == thresholds.honest_shares
    server = LyingServer(thresholds, monkeypatch)
    everybody = frozenset(range(1, thresholds.hospitals + 1))
    assert server.learned([everybody - some for some in gone]) == thresholds.honest_shares


@pytest.mark.parametrize("hospitals", range(3, 13))
def test_the_choice_that_leaves_the_fewest_in_gives_exactly_m(
    hospitals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_extremal(default_thresholds(hospitals), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("hospitals", range(6, 13))
def test_the_choice_that_leaves_the_fewest_in_gives_exactly_m_at_all_thresholds(
    hospitals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for colluding in range(hospitals - 1):
        for threshold in range((hospitals + colluding) // 2 + 1, hospitals + 1):
            check_extremal(Thresholds(hospitals, colluding, threshold), monkeypatch)
