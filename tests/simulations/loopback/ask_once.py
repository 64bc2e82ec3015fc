"""Ask an agent for a study's first round as ``train`` does, without Flower between: ``ask_once.py HOME TERMS SOCKET``.

HOME is the operator's, SOCKET the agent's. Writes one line of JSON: the digest of the release that counts or why there
is none, and who answered. Run by an installation's own Python, so that both halves are that release's.
"""

import hashlib
import json
import sys
from pathlib import Path

from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from wardround.protocol.terms.terms import Release
from wardround.protocol.wire.signed_terms import load_terms
from wardround.server.algorithm import rounds
from wardround.server.network.shim.shim import ask, request_of
from wardround.server.network.signed_codec import SignedCodec
from wardround.server.store.operator_home import load_operator_home


def main(home: str, terms: str, socket: str) -> None:
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
    operator, signed, heard = load_operator_home(Path(home)), load_terms(Path(terms)), {}
    codec = SignedCodec(
        signed=signed,
        key=operator.key(),
        key_of=lambda name: operator.hospitals()[name].signing_key,
        heads=operator.heads,
        hear=heard.__setitem__,
    )
    (plan,) = rounds.plans(rounds.init(signed.terms), signed.terms)
    (message,) = codec.write([plan], {plan.hospital: 1}, 60.0)
    payload = ask(socket, request_of(message), 240.0)
    answer = RecordDict({"answer": ConfigRecord({"answer": payload})})
    found = codec.read(Message(answer, 1, MessageType.TRAIN), plan.hospital)
    released = isinstance(found, Release)
    result = hashlib.sha256(found.vector.tobytes()).hexdigest() if released else found.reason
    print(json.dumps({"released": released, "result": result, "by": str(heard.get(plan.hospital))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
