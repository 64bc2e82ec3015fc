"""Agents for ``test_kill.py``: each is a process of its own, and one place in the code may be made deadly.

Reads lines "HOME PLACE" and forks an agent for each, so that torch is imported once. The places are
patched in from outside: the installed code knows nothing of them.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch._dynamo  # noqa: F401 (what the first optimiser would import, in every child)

import wardround.client.agent.agent
import wardround.client.agent.connection
import wardround.client.agent.socket_door
import wardround.client.agent.warm
import wardround.client.ledger.head_file
import wardround.client.ledger.sqlite
import wardround.client.round.charging
import wardround.client.round.leaving
import wardround.client.round.participate
import wardround.client.secure_sum.for_plan
import wardround.client.secure_sum.secret_file
import wardround.client.secure_sum.studies
import wardround.client.secure_sum.study_keys
import wardround.client.train.with_opacus
from wardround.client.agent.agent import Agent, run_agent
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.ledger.store import Store
from wardround.client.secure_sum.evidence import SumEvidence
from wardround.client.secure_sum.study_keys import StudyKeyFiles


def die() -> None:
    """End as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(holder: Any, name: str) -> Callable[[], None]:
    return lambda: wrap(holder, name, first=True)


def after(holder: Any, name: str) -> Callable[[], None]:
    return lambda: wrap(holder, name, first=False)


def wrap(holder: Any, name: str, first: bool) -> None:
    function = getattr(holder, name)

    def deadly(*arguments: Any, **settings: Any) -> Any:
        if first:
            die()
        function(*arguments, **settings)
        die()

    setattr(holder, name, deadly)


def before_commit(kind: str) -> Callable[[], None]:
    """Die with the entry of this kind written, and its transaction open."""

    def patch() -> None:
        append = Store.append

        def deadly(self: Store, entry: Any) -> None:
            append(self, entry)
            if entry.kind == kind:
                die()

        Store.append = deadly  # type: ignore[method-assign]

    return patch


def half_sent() -> None:
    async def deadly(writer: Any, payload: bytes, *settings: Any) -> None:
        writer.write(
            wardround.client.agent.connection.LENGTH.pack(len(payload)) + payload[: len(payload) // 2]
        )
        await writer.drain()
        die()

    wardround.client.agent.socket_door.write = deadly


def half_written() -> None:
    """Die with half of a file of study keys under its hidden name."""

    def deadly(path: Path, content: bytes) -> None:
        path.with_name(path.name + ".part").write_bytes(content[: len(content) // 2])
        die()

    wardround.client.secure_sum.study_keys.replace_secret = deadly


# In the order in which a plan comes by.
PLACES: dict[str, Callable[[], None]] = {
    "request read": before(Agent, "answer"),
    "signatures verified": after(wardround.client.agent.agent, "read_request"),
    "policy read": after(Agent, "_policy_in_force"),
    "terms permitted": after(wardround.client.round.charging, "permit"),
    "engines compared": after(Agent, "_ready"),
    "before the charge": before(SqliteLedger, "charge"),
    "charge written, not committed": before_commit("charged"),
    "charged, head outside not written": before(wardround.client.ledger.head_file, "write_head"),
    "charged": after(SqliteLedger, "charge"),
    "tables opened": after(wardround.client.agent.warm, "read_tables"),
    "gate passed": after(wardround.client.agent.warm, "admit"),
    "features encoded": after(wardround.client.agent.warm, "encode"),
    "trained": after(wardround.client.round.participate, "private_update"),
    "release written": after(wardround.client.round.leaving, "encode_release"),
    "bytes stored, not committed": after(Store, "keep"),
    "release entered, not committed": before_commit("released"),
    "released": after(SqliteLedger, "released"),
    "before signing": before(wardround.client.agent.agent, "sign_release"),
    "signed": after(wardround.client.agent.agent, "sign_release"),
    "before sending": before(wardround.client.agent.socket_door, "write"),
    "half sent": half_sent,
}

# By the message of a secure sum that comes by there ("survivors: …"), in the order of its steps.
PLACES_OF_SUMS: dict[str, Callable[[], None]] = {
    "keys: file not written": before(StudyKeyFiles, "save"),
    "keys: file half written": half_written,
    "keys: file written": after(StudyKeyFiles, "save"),
    "deal: roster checked": before(SqliteLedger, "sign_roster"),
    "deal: roster entered, not committed": before_commit("roster"),
    "deal: head outside not written": before(wardround.client.ledger.head_file, "write_head"),
    "deal: roster entered, file not written": before(StudyKeyFiles, "save"),
    "deal: file replaced, the old one not overwritten": before(
        wardround.client.secure_sum.secret_file, "_overwrite"
    ),
    "deal: file written": after(StudyKeyFiles, "save"),
    "deal: dealt": after(wardround.client.secure_sum.studies, "deal"),
    "take: opened": after(wardround.client.secure_sum.studies, "take"),
    "take: file written": after(StudyKeyFiles, "save"),
    "take: before sending": before(wardround.client.agent.socket_door, "write"),
    "plan: charged": after(SqliteLedger, "charge"),
    "plan: masked": after(wardround.client.secure_sum.for_plan, "mask"),
    "plan: stored, not committed": after(Store, "keep"),
    "plan: released": after(SqliteLedger, "released"),
    "plan: half sent": half_sent,
    "survivors: request kept": after(SumEvidence, "keep_first"),
    "survivors: opened": after(wardround.client.secure_sum.studies, "give"),
    "survivors: entered, not committed": before_commit("survivors"),
    "survivors: stored, not committed": after(Store, "keep"),
    "survivors: head outside not written": before(wardround.client.ledger.head_file, "write_head"),
    "survivors: entered": after(SqliteLedger, "answer_slot"),
    "survivors: before signing": before(wardround.client.agent.agent, "sign_sum_answer"),
    "survivors: half sent": half_sent,
}


def serve(home: Path, place: str) -> None:
    """Be an agent until killed or told to stop."""
    wardround.client.train.check_training.check_closed_form = lambda *arguments: 0.0
    deadly = {**PLACES, **PLACES_OF_SUMS}.get(place)
    if deadly is not None:
        deadly()
    try:
        run_agent(home)
    except BaseException as error:
        print(f"agent: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Fork an agent per line; children are reaped by nobody's waiting."""
    logging.basicConfig(level=logging.CRITICAL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("\n".join(PLACES), end="\n\n", flush=True)
    for line in sys.stdin:
        home, place = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            serve(Path(home), place)
        print(child, flush=True)


if __name__ == "__main__":
    main()
