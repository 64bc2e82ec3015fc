"""Which release of Wardround each hospital's agent last named: logged where it changes, read for ``status``."""

from collections.abc import Iterable, Mapping
from typing import Any

from wardround.protocol.wire.speaker import (
    Speaker,
    difference,
    other_release,
    speaker_from_mapping,
    speaker_to_mapping,
    this_speaker,
    understands,
)
from wardround.server.store.event_log import AGENT, EventLog, read_events
from wardround.server.store.operator_home import StudyFolder

THEIRS, HERE = "its agent", "this server"
"""How the two sides are called where they are of two releases."""


class AgentReleases:
    """Logs each agent's release when it is first heard and when it changes; prints it where it differs from ours.

    One of another protocol is logged but not printed: the round's own line says what came of it.
    """

    def __init__(self, folder: StudyFolder, log: EventLog) -> None:
        """Go on from what the study's log holds."""
        self._log = log
        self._heard = agents_heard(read_events(folder.events))

    def hear(self, hospital: str, speaker: Speaker) -> None:
        """Take in who answered."""
        if self._heard.get(hospital) == speaker:
            return
        self._heard[hospital] = speaker
        other = understands(speaker) and speaker != this_speaker()
        line = f"{hospital}: {other_release(THEIRS, speaker, HERE)}" if other else ""
        self._log.write(AGENT, line, hospital=hospital, **speaker_to_mapping(speaker))


def agents_heard(events: Iterable[Mapping[str, Any]]) -> dict[str, Speaker]:
    """Give each hospital's last release by a study's events; one that is damaged is left out."""
    found = {}
    for event in events:
        if event.get("event") == AGENT:
            try:
                found[str(event["hospital"])] = speaker_from_mapping(event)
            except (KeyError, ValueError):
                continue
    return found


def release_lines(heard: Mapping[str, Speaker]) -> tuple[str, ...]:
    """Say which hospitals run another release than this server's, and whether the two understand each other."""
    lines = {hospital: difference(THEIRS, speaker, HERE) for hospital, speaker in heard.items()}
    return tuple(f"  {hospital}: {line}" for hospital, line in lines.items() if line)
