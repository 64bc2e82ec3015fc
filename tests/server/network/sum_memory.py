"""The memory of one large secure sum, as a program.

    python -m tests.server.network.sum_memory FOLDER HOSPITALS

carries one round of a million parameters through signed messages and a ``StreamedGrid``, from trip 1 to the sum, all
replies being ready at once and one hospital gone; prints peak memory before and after (KiB), and processor time.

The members here skip what only members compute: a masked release has its own mask and that with the one who is gone,
since all others cancel; and shares are not sealed. What the server does is the real thing.
"""

import json
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from flwr.app import ConfigRecord, RecordDict

from tests.builders import PUBLIC, small_contract, stream
from tests.server.network.superlink_folder import SuperLinkFolder
from wardround.conf.proposal import Serving
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.privacy.randomness import derive_key
from wardround.protocol.secure_sum.exchange import Dealing, DealtShare, GivenShares, MaskedIntegers
from wardround.protocol.secure_sum.keys import StudySecret, public_key
from wardround.protocol.secure_sum.label import seed_label
from wardround.protocol.secure_sum.masks import add_stream, own_mask_key, pair_mask_key, seed_commitment
from wardround.protocol.secure_sum.roster import Member, Roster
from wardround.protocol.secure_sum.seal import SEALED_BYTES, SealContext, ShareKind, share_digest
from wardround.protocol.secure_sum.sharing import deal_shares
from wardround.protocol.secure_sum.survivors import wanted_kind
from wardround.protocol.secure_sum.thresholds import default_thresholds
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.sum_noise import slots_of
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.envelope import encode_answer, sign_sum_answer
from wardround.protocol.wire.signed_terms import sign_terms
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_wire import SumAnswer, SumStep
from wardround.server.algorithm import rounds
from wardround.server.algorithm.sum_trips import sum_asked
from wardround.server.network.signed_codec import MaskedCodec, SignedCodec, SumCodec
from wardround.server.network.strategy import Presence, TimeLimits, collect
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.event_log import EventLog
from wardround.server.store.held_heads import HeldHeads
from wardround.server.store.sum_files import SumFolder
from wardround.server.study.secure_sums import Sums, run_sum
from wardround.server.study.served import ServedStudy
from wardround.server.study.set_up_sums import SumAsks
from wardround.simulations.measures.memory import peak_mb


@dataclass
class Shares:
    """Shares of one secret, and what its dealer sends along openly."""

    shares: tuple[bytes, ...]
    dealt: tuple[DealtShare, ...] = field(default=())


class Members:
    """All members of a roster, with one slot."""

    def __init__(self, terms: Terms, keys) -> None:
        self.terms, self.keys = terms, keys
        self.names, self.slot = sorted(keys), slots_of(terms)[0]
        self.secrets = {name: StudySecret(derive_key("memory", name)) for name in self.names}
        members = tuple(self._member(name) for name in self.names)
        self.roster = Roster(terms.study, terms.thresholds, slots_of(terms), members)
        self.slot_shares = [self._slot_shares(index) for index in range(1, len(members) + 1)]
        self.label, self.seeds = b"", {}

    def _member(self, name):
        secret = self.secrets[name]
        slots = tuple(public_key(secret.slot_key(slot)) for slot in slots_of(self.terms))
        return Member(name, self.keys[name].public, public_key(secret.sealing_key()), slots)

    def _share(self, secret, index, kind, label):
        numbers, random = self.terms.thresholds, stream("shares", index, kind.name)
        shares = deal_shares(secret, numbers.threshold, numbers.hospitals, random)
        dealt = []
        for receiver, share in enumerate(shares, 1):
            context = SealContext(index, receiver, kind, self.roster.digest, label)
            dealt.append(DealtShare(bytes(SEALED_BYTES), share_digest(context, share)))
        return Shares(shares, tuple(dealt))

    def _slot_shares(self, index):
        private = self.secrets[self.names[index - 1]].slot_key(self.slot)
        return self._share(private, index, ShareKind.SLOT_KEY, self.slot.digest())

    def keep_dealings(self, folder: SumFolder) -> None:
        for name, one in zip(self.names, self.slot_shares, strict=True):
            slots = (one.dealt,) * len(self.roster.slots)
            folder.save_dealing(name, Dealing(bytes(64), slots).to_bytes())

    def masked(self, index, plan, gone):
        """Trip 1 of a member whose integers are all its index; gone: the member who sends none."""
        seed = derive_key("seed", index)
        self.seeds[index] = self._share(seed, index, ShareKind.SEED, seed_label(self.slot, self.label))
        vector = np.full(self.terms.update_noise(1).dimension, index, np.uint64)
        add_stream(vector, own_mask_key(seed, index, self.label))
        private = self.secrets[self.names[index - 1]].slot_key(self.slot)
        key = pair_mask_key(private, index, gone, self.roster.slot_keys(self.slot), self.label)
        add_stream(vector, key, negative=gone > index)
        body = MaskedIntegers(vector, seed_commitment(seed, index, self.label), self.seeds[index].dealt)
        return self._answer(index, SumStep.MASKED, plan.weights_digest, body.to_bytes())

    def given(self, index, asked: str, survivors):
        held = {ShareKind.SEED: self.seeds, ShareKind.SLOT_KEY: dict(enumerate(self.slot_shares, 1))}
        everybody = range(1, len(self.names) + 1)
        shares = {j: held[wanted_kind(j, survivors)][j].shares[index - 1] for j in everybody}
        return self._answer(index, SumStep.SURVIVORS, asked, GivenShares(shares).to_bytes())

    def _answer(self, index, step, asked, body):
        answer = SumAnswer(
            step=step,
            study=self.terms.study,
            hospital=self.names[index - 1],
            terms_fingerprint=self.terms.fingerprint,
            round=1,
            asked=asked,
            roster=self.roster.digest.hex(),
            ledger_head=f"{index:064x}",
            body=body,
        )
        payload = encode_answer(sign_sum_answer(answer, self.keys[answer.hospital]))
        return RecordDict({"answer": ConfigRecord({"answer": payload})})


def large_terms(keys) -> Terms:
    thresholds = default_thresholds(len(keys))
    model = ModelSettings(kind="mlp", hidden=(1000, 990))
    contract = contract_from_mapping(small_contract(**PUBLIC))
    parameters = len(rounds.initial_weights(model, contract.layout))
    return Terms(
        study="large",
        contract=contract,
        model=model,
        privacy=PrivacySettings(noise="secure"),
        training=TrainingSettings(
            rounds=1, public_patients=dict.fromkeys(keys, 1000), learning_rate=0.1, tail_average=0.5
        ),
        noise_multiplier=10.0,
        secure_sum=SecureSumSettings(
            threshold=thresholds.threshold,
            colluding=thresholds.colluding,
            parameters=parameters,
            members={name: key.public for name, key in keys.items()},
        ),
    )


def sum_of_many(folder: Path, hospitals: int) -> dict[str, float]:
    """One secure sum of a million parameters with one hospital gone."""
    keys = {f"h{index:03d}": new_key() for index in range(1, hospitals + 1)}
    terms, gone = large_terms(keys), hospitals
    members = Members(terms, keys)
    home = begin_operator_home(folder / "op", "127.0.0.1:8443")
    study_folder = home.study("large")
    serving = Serving(
        study="large",
        home=home.folder,
        round_seconds=600,
        quorum=0.5,
        wait_seconds=1,
        now=datetime.now(UTC),
    )
    study = ServedStudy(
        home, study_folder, sign_terms(terms, home.key()), serving, EventLog(study_folder.events)
    )
    members.keep_dealings(SumFolder(study_folder.sums))
    plans = rounds.plans(rounds.init(terms), terms)
    named = replace(plans[0], roster=members.roster.digest.hex())
    members.label = sum_asked(study.terms, members.roster, named).label
    asks = asks_of(folder / "link", study, members, gone, keys)
    before, began = round(1024 * peak_mb()), time.process_time()
    found = run_sum(
        study,
        Sums(members.roster, asks),
        plans,
        "round 1",
        below="below_quorum",
        replaceable=False,
        wait_seconds=1,
    )
    assert found.total is not None, found.void
    assert (found.total == sum(range(1, hospitals))).all()
    return {
        "parameters": len(found.total),
        "accepted": len(found.accepted),
        "before_kib": before,
        "after_kib": round(1024 * peak_mb()),
        "cpu_seconds": time.process_time() - began,
    }


def asks_of(link: Path, study: ServedStudy, members: Members, gone: int, keys) -> SumAsks:
    """Carry both trips over a grid whose replies are files; who is gone is not connected."""
    link.mkdir()
    told: dict[int, str] = {}
    plans = rounds.plans(rounds.init(study.terms), study.terms)
    survivors = frozenset(range(1, gone))

    def answer(node: int) -> RecordDict:
        if node in told:
            return members.given(node, told[node], survivors)
        return members.masked(node, plans[0], gone)

    grid = SuperLinkFolder(link, answer).grid()
    there = {name: Presence(index, "1") for index, name in enumerate(members.names, 1) if index != gone}
    codec = SignedCodec(
        signed=study.signed,
        key=study.home.key(),
        key_of={name: key.public for name, key in keys.items()}.get,
        heads=HeldHeads(link / "heads"),
        hear=lambda hospital, speaker: None,
    )
    limits, masked, sums = TimeLimits(), MaskedCodec(codec), SumCodec(codec)

    def requests(asked, seconds):
        told.update({members.names.index(one.hospital) + 1: one.body_digest for one in asked})
        return collect(grid, {}, asked, limits, codec=sums, connected=lambda: there)

    return SumAsks(
        lambda asked: collect(grid, {}, asked, limits, codec=masked, connected=lambda: there), requests
    )


if __name__ == "__main__":
    print(json.dumps(sum_of_many(Path(sys.argv[1]), int(sys.argv[2]))))
