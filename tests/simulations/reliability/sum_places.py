"""Places of a secure sum at which a test may hold a part; and notes of what was summed, and of what left.

Notes, in the folder of the places: ``left/`` holds each answer that an agent began to send, under its part and digest;
``plain/`` the integers that a hospital masked last for a slot; ``summed/`` what the server took for their sum.
"""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from places import FOLDER, PART, after, before, come_by

step = ""


def note(folder: str, name: str, content: bytes) -> None:
    """Write a file whole or not at all: whoever writes it may be killed over it."""
    path = FOLDER / folder / name
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(f".{os.getpid()}.{name}")
    part.write_bytes(content)
    part.rename(path)


def note_numbers(folder: str, name: str, numbers: Any) -> None:
    note(folder, name, np.ascontiguousarray(numbers, np.int64).tobytes())


def at_the_agent() -> None:
    import wardround.client.agent.agent
    import wardround.client.agent.socket_door
    import wardround.client.ledger.sqlite
    import wardround.client.secure_sum.for_plan
    import wardround.client.secure_sum.study_keys

    agent = wardround.client.agent.agent.Agent
    signed_answer, write = agent._signed_answer, wardround.client.agent.socket_door.write
    mask = wardround.client.secure_sum.for_plan.mask
    files = wardround.client.secure_sum.study_keys.StudyKeyFiles
    save, ledger = files.save, wardround.client.ledger.sqlite.SqliteLedger

    def answered(self: Any, asked: Any) -> Any:
        global step
        step = asked.request.step.value if hasattr(asked, "request") else "plan"
        come_by(f"{step} asked")
        found = signed_answer(self, asked)
        come_by(f"{step} answered")
        return found

    def kept(self: Any, *arguments: Any) -> None:
        save(self, *arguments)
        come_by(f"{step} kept")

    def masked(member: Any, integers: Any, label: bytes, slot: Any, stream: Any) -> Any:
        found = mask(member, integers, label, slot, stream)
        hospital = member.roster.members[member.index - 1].name
        name = f"{member.roster.study}.{slot.account}.{slot.number}.{hospital}"
        note_numbers("plain", name, integers)
        come_by("masked")
        return found

    async def written(writer: Any, payload: bytes, *settings: Any) -> None:
        note("left", f"{PART}.{hashlib.sha256(payload).hexdigest()}", payload)
        await write(writer, payload, *settings)

    agent._signed_answer = answered  # type: ignore[method-assign]
    files.save = kept  # type: ignore[method-assign]
    wardround.client.secure_sum.for_plan.mask = masked
    wardround.client.agent.socket_door.write = written
    after(ledger, "sign_roster", "roster signed")
    after(ledger, "released", "masked release stored")
    after(ledger, "answer_slot", "survivors written")


def at_the_study() -> None:
    import wardround.server.network.signed_codec
    import wardround.server.store.sum_files
    import wardround.server.study.secure_sums
    import wardround.server.study.serve

    one_sum_round = wardround.server.study.serve.one_sum_round
    closed = wardround.server.study.secure_sums.closed
    folder, codecs = wardround.server.store.sum_files.SumFolder, wardround.server.network.signed_codec
    read = codecs.SumCodec.read

    def gated(study: Any, state: Any, sums: Any) -> Any:
        """A round begins when the test lets it: its number is in the file ``gate``."""
        while state.round > int(Path(FOLDER / "gate").read_text(encoding="ascii") or 0):
            time.sleep(0.02)
        come_by("before the announcement")
        moved = one_sum_round(study, state, sums)
        come_by("checkpoint written")
        return moved

    def arrived(self: Any, message: Any, hospital: str) -> Any:
        found = read(self, message, hospital)
        kind = getattr(found, "step", None)
        if kind is not None:
            come_by(f"{kind.value} arrived")
        return found

    def opened(fixed: Any, found: Any) -> Any:
        if isinstance(found, np.ndarray):
            slot = fixed.asked.slot
            name = f"{fixed.asked.roster.study}.{slot.account}.{slot.number}"
            note_numbers("summed", name, found)
        come_by("sum opened")
        return closed(fixed, found)

    wardround.server.study.serve.one_sum_round = gated
    wardround.server.study.secure_sums.closed = opened
    codecs.SumCodec.read = arrived  # type: ignore[method-assign]
    after(codecs.MaskedCodec, "read", "masked release arrived")
    after(folder, "save_keys", "all keys kept")
    after(folder, "save_dealing", "a dealing kept")
    before(folder, "save_taken", "all shares opened")
    before(folder, "save_fixed", "survivors not kept yet")
    after(folder, "save_fixed", "survivors kept")


PATCHES: dict[str, Callable[[], None]] = {
    "agent": at_the_agent,
    "train": at_the_study,
    "resume": at_the_study,
}
