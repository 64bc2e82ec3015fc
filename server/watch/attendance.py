"""Who answered a study's rounds, by its event log. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wardround.server.store.event_log import closed_rounds

NOT_APPROVED = "refused: approval"
"""How a hospital that waits for its own person's decision answers."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One hospital in one study. last_round: the last closed round that it took part in, 0 for none.

    took_part, missed, refused: closed rounds, by what came of its answer. waits: it has not approved the study yet.
    """

    last_round: int
    took_part: int
    missed: int
    refused: int
    waits: bool


def answers(events: Sequence[Mapping[str, Any]], hospitals: Iterable[str]) -> dict[str, Answered]:
    """Give how each of a study's hospitals answered its rounds."""
    rounds = closed_rounds(events)
    took, missed, refused = Counter[str](), Counter[str](), Counter[str]()
    last: dict[str, int] = {}
    for number, event in sorted(rounds.items()):
        took.update(event["accepted"])
        missed.update(event["missing"])
        refused.update(list(event["rejected"]))
        last |= dict.fromkeys(event["accepted"], number)
    newest: Mapping[str, str] = next(
        (event["rejected"] for event in reversed(events) if "rejected" in event), {}
    )
    return {
        name: Answered(
            last_round=last.get(name, 0),
            took_part=took[name],
            missed=missed[name],
            refused=refused[name],
            waits=newest.get(name) == NOT_APPROVED,
        )
        for name in hospitals
    }
