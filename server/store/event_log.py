"""A study's event log: one JSON object per line, for machines; what a person sees on the way is printed from it."""

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardround.protocol.characters import escape
from wardround.protocol.text.log import report
from wardround.protocol.text.plain import read_json
from wardround.server.algorithm.rounds import RoundSummary

LARGEST_EVENT = 2**20  # bytes of a line

ASKED, EVALUATED = "evaluation_announced", "evaluated"
"""Events of an evaluation on held-out patients: asked for, and closed with its noised measures."""
QUERY_ASKED, QUERY_ANSWERED = "query_announced", "query_answered"
"""Events of a query: asked for, and its sum kept."""
SET_UP_BEGUN, SET_UP, READY = "set_up_begun", "set_up", "secure_sum_ready"
SURVIVORS, UNMASKED, VOID = "survivors", "unmasked", "void_sum"
"""Events of secure sums: hospitals are asked for keys; set-up waits; set up; a sum's survivors kept, before trip 2
leaves; masks off; no sum."""
AGENT, NOT_ENROLLED, NOT_READ = "agent", "not_enrolled", "not_read"
"""Events that tell nothing of how the study stands: an agent says which release it is; a planned hospital is not
enrolled; a file in ``hospitals/`` cannot be read."""


class EventLog:
    """Appends events to a file, each in one write, and says them on standard error where they are for people."""

    def __init__(self, path: Path, quiet: bool = False) -> None:
        """Name the file; its folder is made with the first event."""
        self._path = path
        self._quiet = quiet
        self._end_cut_line()

    def write(self, event: str, line: str = "", **facts: object) -> None:
        """Append one event; line is its words for a person."""
        plain = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            # A NaN would make the line no JSON for anybody who follows the log.
            file.write(json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n")
            file.flush()
            # A round that is in the weights is in the log, whatever happens to the machine.
            os.fsync(file.fileno())
        if line and not self._quiet:
            report(line, event=event, **facts)

    def _end_cut_line(self) -> None:
        """A line that a full disk cut short must not swallow the next one."""
        content = self._path.read_bytes() if self._path.exists() else b""
        if content and not content.endswith(b"\n"):
            with self._path.open("ab") as file:
                file.write(b"\n")

    def round(self, summary: RoundSummary, seconds: float, rounds: int) -> None:
        """Append a closed round: who took part, who was late, who was refused; no figure of any patient."""
        rejected = {one.hospital: one.reason for one in summary.rejected}
        took_part = f"{len(summary.accepted)} of {summary.planned} hospitals"
        # Beyond the terms' rounds are spare ones, in the place of rounds that gave nothing.
        of = f" of {rounds}" if summary.round <= rounds else ", a spare one"
        line = f"round {summary.round}{of}: {took_part}, {seconds:.1f} s"
        line += f"; not used: {summary.discarded}" if summary.discarded else ""
        line += "".join(f"; {hospital}: {reason}" for hospital, reason in rejected.items())
        line += f"; no answer from {', '.join(summary.missing)}" if summary.missing else ""
        self.write(
            "round",
            line,
            round=summary.round,
            seconds=round(seconds, 3),
            accepted=list(summary.accepted),
            rejected=rejected,
            missing=list(summary.missing),
            discarded=summary.discarded,
            gradient_norm=summary.gradient_norm,
            update_norm=summary.update_norm,
        )


def closed_rounds(events: Iterable[Mapping[str, object]]) -> dict[int, Mapping[str, Any]]:
    """Give the closed rounds by number, each as last reported: that is what the weights hold.

    A round is logged before its state is saved; a study killed in between asks and closes it again.
    """
    return {int(str(event["round"])): event for event in events if event.get("event") == "round"}


def read_events(path: Path) -> list[Mapping[str, Any]]:
    """Read a log, its texts made visible; a line that was cut short by a crash is left out."""
    if not path.exists():
        return []
    found: list[Mapping[str, Any]] = []
    for line in path.read_bytes().split(b"\n"):
        try:
            event = read_json(line, LARGEST_EVENT)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(_visible(event))
    return found


def _visible(value: Any) -> Any:
    if isinstance(value, dict):
        return {escape(key): _visible(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_visible(inner) for inner in value]
    return escape(value) if isinstance(value, str) else value
