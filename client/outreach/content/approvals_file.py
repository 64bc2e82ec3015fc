"""Decisions about modules: HOME/approvals/content.log, a signed log (``client.outreach.signed_log``)."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from wardround.client.outreach.content.approvals import (
    APPROVED,
    RETIRED,
    ContentDecision,
)
from wardround.client.outreach.content.deciding import LONGEST_REASON
from wardround.client.outreach.content.language import is_language
from wardround.client.outreach.content.module import is_id
from wardround.client.outreach.signed_log import LogForm, SignedLog
from wardround.protocol.text.text import is_digest, is_line
from wardround.protocol.wire.signing import Purpose

LOG, HEAD = "content.log", "content.head"


class ContentApprovals(SignedLog[ContentDecision]):
    """The log of a folder, usually HOME/approvals."""

    def __init__(self, folder: Path, public: str) -> None:
        """Name the folder; it is made with the first decision."""
        super().__init__(folder, public, _FORM)


def _to_plain(decision: ContentDecision) -> dict[str, Any]:
    plain = asdict(decision)
    plain["time"] = decision.time.astimezone(UTC).isoformat(timespec="seconds")
    plain["until"] = "" if decision.until is None else decision.until.isoformat()
    return plain


def _from_plain(plain: Mapping[str, Any]) -> ContentDecision | None:
    if plain.keys() != ContentDecision.__dataclass_fields__.keys():
        return None
    try:
        until = date.fromisoformat(plain["until"]) if plain["until"] else None
        time = datetime.fromisoformat(plain["time"])
        texts = is_line(plain["person"]) and is_line(plain["reason"], LONGEST_REASON)
        module = is_id(plain["id"]) and is_language(plain["language"]) and is_digest(plain["digest"])
        others = all(plain[key] == "" or is_digest(plain[key]) for key in ("original", "guidelines"))
        kind = plain["kind"] == (RETIRED if until is None else APPROVED)
    except (ValueError, TypeError, AttributeError):
        return None
    if not (texts and module and others and kind and time.tzinfo is not None):
        return None
    return ContentDecision(**{**plain, "until": until, "time": time})


_FORM = LogForm(
    name="content",
    purpose=Purpose.CONTENT,
    listing="content list",
    to_plain=_to_plain,
    from_plain=_from_plain,
)
