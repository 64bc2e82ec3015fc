"""What a page shows of one study: its rounds and evaluations as its log has them, its card, its files."""

from collections.abc import Mapping, Sequence
from typing import Any

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded
from wardround.protocol.text.section import shown
from wardround.server.dashboard.card import card_parts
from wardround.server.store.event_log import EVALUATED, closed_rounds, read_events
from wardround.server.store.operator_home import OperatorHome, StudyFolder

PAGE = 50
CARD = "model_card.md"
FILES = {
    "report.html": "text/html; charset=utf-8",
    "model_card.html": "text/html; charset=utf-8",
    "report.json": "application/json",
    "evaluation.json": "application/json",
    "feasibility.txt": "text/plain; charset=utf-8",
    "feasibility.json": "application/json",
    "uplift.txt": "text/plain; charset=utf-8",
    "uplift.json": "application/json",
}
"""What may be fetched of a study: what it wrote for readers. Never its checkpoints, sums or model."""
LARGEST_CARD, LARGEST_FILE = 2**20, 32 * 2**20


def study_page(study: StudyFolder, before: int | None) -> dict[str, Any]:
    """Give one study's rounds, newest first, its evaluations, its card and the names of its files.

    before: the round that follows the page.
    """
    events = read_events(study.events)
    return {
        **_rounds(events, before),
        # As last reported: one that was asked for again after a crash is in the log twice.
        "evaluations": list(
            {
                (one["round"], one["mitigated"]): one for one in events if one.get("event") == EVALUATED
            }.values()
        ),
        "card": _card(study),
        "files": [file for file in FILES if (study.folder / file).is_file()],
    }


def study_file(study: StudyFolder, file: str) -> dict[str, Any]:
    """Give a file of a study that readers may have: its bytes and its type."""
    path = study.folder / file
    if file not in FILES or not path.is_file():
        raise ConfigurationError(f"file={shown(file)}: this study has none of that name")
    try:
        return {"content": read_bounded(path, LARGEST_FILE), "type": FILES[file]}
    except OSError as error:
        raise ConfigurationError(f"file={path}: cannot be read ({error.strerror})") from error


def find_study(home: OperatorHome, name: str) -> StudyFolder:
    """Give a study that is there; no part of an address becomes a path."""
    for study in home.studies():
        if study.folder.name == name:
            return study
    raise ConfigurationError(f"study={shown(name)}: there is none of that name")


def _rounds(events: Sequence[Mapping[str, Any]], before: int | None) -> dict[str, Any]:
    closed = closed_rounds(events)
    wanted = sorted((number for number in closed if before is None or number < before), reverse=True)
    page = wanted[:PAGE]
    newest = max(closed, default=0)
    return {
        "rounds": [closed[number] for number in page],
        "older": page[-1] if len(wanted) > PAGE else None,
        "newer": min(page[0] + PAGE, newest) + 1 if page and page[0] < newest else None,
    }


def _card(study: StudyFolder) -> list[dict[str, Any]]:
    path = study.folder / CARD
    try:
        return card_parts(read_bounded(path, LARGEST_CARD).decode()) if path.is_file() else []
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"card={path}: cannot be read; resume writes it again") from error
