"""A SuperLink in a folder, as far as a study's grid sees it; and, as a program, the memory of one large round.

    python -m tests.server.network.superlink_folder FOLDER HOSPITALS RULE streamed|flower

closes one round of a million parameters through signed messages and a ``StreamedGrid``, all replies being ready at
once, and prints peak memory before the round and after it (KiB), and the round's processor time.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import PullObjectResponse
from flwr.proto.runtime_pb2 import PullAppMessagesResponse, PushAppMessagesResponse
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
)
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid.http_grid import HttpGrid

from tests.builders import PUBLIC, small_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Release, Terms
from wardround.protocol.wire.envelope import encode_answer, sign_release
from wardround.protocol.wire.signed_terms import sign_terms
from wardround.protocol.wire.signing import new_key
from wardround.server.algorithm import rounds
from wardround.server.network.signed_codec import SignedCodec
from wardround.server.network.strategy import Presence, TimeLimits, run_round
from wardround.server.network.streamed_grid import StreamedGrid
from wardround.server.store.held_heads import HeldHeads
from wardround.simulations.measures.memory import peak_mb


class SuperLinkFolder:
    """What a grid's client calls. answer(node) gives its reply's record, None for silence.

    Objects are files, so that this process holds none; missing: those that are not uploaded yet.
    """

    def __init__(self, folder: Path, answer: Callable[[int], RecordDict | None] = lambda node: None) -> None:
        self.folder, self.answer = folder, answer
        self.ready: dict[str, tuple[Any, Any]] = {}
        self.missing: set[str] = set()
        self.pulled: list[str] = []
        self.confirmed: list[str] = []

    def grid(self, kind: type[HttpGrid] = StreamedGrid) -> HttpGrid:
        """A grid whose client is this."""
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
        grid = kind(token="t")
        grid._client = self  # type: ignore[assignment]
        grid.set_run(Run.create_empty(run_id=1))
        return grid

    def put(self, asked: str, reply: Message) -> dict[str, bytes]:
        """Keep a reply to the message ``asked``; its parts."""
        reply.metadata.__dict__["_message_id"] = reply.object_id
        parts = {name: part.deflate() for name, part in get_all_nested_objects(reply).items()}
        for name, content in parts.items():
            (self.folder / name).write_bytes(content)
        proto = message_to_proto(remove_content_from_message(reply))
        proto.metadata.reply_to_message_id = asked  # as the SuperLink has it, whatever the reply says
        self.ready[asked] = proto, get_object_tree(reply)
        return parts

    def PushMessages(self, request: Any) -> PushAppMessagesResponse:  # noqa: N802
        for proto in request.messages_list:
            record = self.answer(proto.metadata.dst_node_id)
            if record is not None:
                self.put(proto.metadata.message_id, Message(record, reply_to=message_from_proto(proto)))
        wanted = {
            node.object_id for tree in request.message_object_trees for node in iterate_object_tree(tree)
        }
        ids = [proto.metadata.message_id for proto in request.messages_list]
        return PushAppMessagesResponse(message_ids=ids, objects_to_push=wanted, session_id="s")

    def PushObject(self, request: Any) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(stored=True)

    def PullMessages(self, request: Any) -> PullAppMessagesResponse:  # noqa: N802
        found = [self.ready.pop(asked) for asked in request.message_ids if asked in self.ready]
        return PullAppMessagesResponse(
            messages_list=[proto for proto, _ in found], message_object_trees=[tree for _, tree in found]
        )

    def PullObject(self, request: Any) -> PullObjectResponse:  # noqa: N802
        self.pulled.append(request.object_id)
        path = self.folder / request.object_id
        if request.object_id in self.missing or not path.exists():
            found = request.object_id in self.missing
            return PullObjectResponse(object_found=found, object_available=False)
        return PullObjectResponse(object_found=True, object_available=True, object_content=path.read_bytes())

    def ConfirmMessageReceived(self, request: Any) -> None:  # noqa: N802
        self.confirmed.append(request.message_object_id)


def close_a_large_round(folder: Path, hospitals: int, rule: str, kind: type[HttpGrid]) -> dict[str, float]:
    """One round of a million parameters; ``kind``: the grid that is measured."""
    keys = {f"h{index}": new_key() for index in range(hospitals)}
    operator = new_key()
    terms = Terms(
        study="large",
        contract=contract_from_mapping(small_contract(**PUBLIC)),
        model=ModelSettings(kind="mlp", hidden=(1000, 990)),
        privacy=PrivacySettings(),
        training=TrainingSettings(
            rounds=1,
            aggregate=rule,
            public_patients=dict.fromkeys(keys, 1000),
            learning_rate=0.1,
            tail_average=0.5,
        ),
        noise_multiplier=10.0,
        simulation=True,
    )
    state = rounds.init(terms)
    digest = rounds.plans(state, terms)[0].weights_digest

    def answer(node: int) -> RecordDict:
        vector = np.random.default_rng(node).standard_normal(len(state.weights), np.float32)
        release = Release(
            study="large", hospital=f"h{node}", round=1, terms_fingerprint=terms.fingerprint,
            weights_digest=digest, vector=vector, ledger_head="ab" * 32, simulation=True,
        )  # fmt: skip
        payload = encode_answer(sign_release(release, keys[release.hospital]))
        return RecordDict({"answer": ConfigRecord({"answer": payload})})

    grid = SuperLinkFolder(folder, answer).grid(kind)
    codec = SignedCodec(
        signed=sign_terms(terms, operator),
        key=operator,
        key_of={name: key.public for name, key in keys.items()}.get,
        heads=HeldHeads(folder / "heads"),
        hear=lambda hospital, speaker: None,
    )
    there = {name: Presence(index, "1") for index, name in enumerate(keys)}
    before, began = round(1024 * peak_mb()), time.process_time()
    _, summary = run_round(grid, {}, terms, state, TimeLimits(), codec=codec, connected=lambda: there)
    return {
        "parameters": len(state.weights),
        "accepted": len(summary.accepted),
        "before_kib": before,
        "after_kib": round(1024 * peak_mb()),
        "cpu_seconds": time.process_time() - began,
    }


if __name__ == "__main__":
    kinds = {"streamed": StreamedGrid, "flower": HttpGrid}
    made = close_a_large_round(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], kinds[sys.argv[4]])
    print(json.dumps(made))
