"""Runs at a hospital's SuperNode in the shim's place, with the operator's own key: reads what it can, asks for more.

What it found is written beside the SuperNode's own files, where the test reads it.
"""

import json
import os
import socket
import struct
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from known import OPERATOR_KEY, PATHS, ROUNDS

from wardround.protocol.errors import Refusal
from wardround.protocol.wire.envelope import decode_answer, decode_request, sign_request
from wardround.protocol.wire.signed_terms import sign_terms, signed_terms_from_bytes, signed_terms_to_bytes
from wardround.protocol.wire.signing import load_key, new_key
from wardround.protocol.wire.wire import decode_plan

LENGTH = struct.Struct("<I")
app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    path = str(context.node_config["agent"])
    head = message.content["plan"]["head"]
    asked = decode_request(head + message.content["weights"]["weights"].data)
    found = {
        "user": os.getuid(),
        "groups": os.getgroups(),
        "read": look(path),
        "answers": demand(path, asked),
    }
    report = Path(os.environ["FLWR_HOME"]) / "report"
    report.with_suffix(".part").write_text(json.dumps(found))
    report.with_suffix(".part").rename(report.with_suffix(".json"))
    return Message(RecordDict({"answer": ConfigRecord({"late": True})}), reply_to=message)


def look(path: str) -> list[str]:
    """Whatever of these files and folders, and of the agent's process, opens."""
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(path)
        pid = struct.unpack("3i", agent.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    process = [f"/proc/{pid}/{name}" for name in ("environ", "mem", "maps", "cwd", "fd", "root")]
    return [name for name in [*PATHS, *process] if opens(name)]


def opens(name: str) -> bool:
    try:
        if Path(name).is_dir() or name.endswith(("/cwd", "/root", "/fd")):
            list(Path(name).iterdir())
        else:
            Path(name).open("rb").close()
    except OSError:
        return False
    return True


def demand(path: str, asked) -> dict[str, int]:
    """A thousand plans: rounds beyond the terms, new studies, and the approved terms with another's signature."""
    key, stranger = operator_key(), new_key()
    signed, plan = signed_terms_from_bytes(asked.terms), decode_plan(asked.plan)
    until = datetime.now(UTC) + timedelta(hours=1)
    answers: Counter[str] = Counter()
    for number in range(1000):
        if number % 10 == 0:
            other = replace(signed.terms, study=f"study-{number}")
            terms, by = signed_terms_to_bytes(sign_terms(other, key)), key
            wanted = replace(plan, study=other.study, terms_fingerprint=other.fingerprint)
        elif number % 10 == 1:
            terms, by, wanted = asked.terms, stranger, replace(plan, round=1 + number % ROUNDS)
        else:
            terms, by, wanted = asked.terms, key, replace(plan, round=ROUNDS + 1 + number)
        answers[ask(path, sign_request(terms, wanted, until, by))] += 1
    return dict(answers)


def operator_key():
    path = Path(os.environ["FLWR_HOME"]) / "taken.key"
    path.touch(0o600)
    path.write_text(OPERATOR_KEY)
    return load_key(path)


def ask(path: str, request: bytes) -> str:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(60)
        agent.connect(path)
        agent.sendall(LENGTH.pack(len(request)) + request)
        with agent.makefile("rb") as stream:
            (length,) = LENGTH.unpack(stream.read(LENGTH.size))
            answer = decode_answer(stream.read(length))
    return answer.clause if isinstance(answer, Refusal) else "released"
