"""What the journal is given of one run: rows of proposals and of what was held back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.client.outreach.content.choice import MARKETING
from wardround.client.outreach.journal.records import as_text
from wardround.client.outreach.journal.schema import HELD_COLUMNS, PROPOSAL_COLUMNS
from wardround.client.outreach.permission.rules import RULES, WHY
from wardround.client.outreach.proposals.library import Library
from wardround.client.outreach.proposals.standard import Standards
from wardround.client.outreach.proposals.timing import Timing
from wardround.protocol.arrays import Booleans, Integers
from wardround.protocol.text.plain import read_json

_LARGEST_GROUNDS = 2**16


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """What is proposed for each row of ``Standards``: place in the trigger's modules, and slot; int64 [rows] each.

    known: bool [rows], whether the model knows a history. options, reasons: JSON of each row; null where no model
    chose. model, contract: what chose; terms: of its study. own_part: bool [rows], whether the hospital's own part
    chose with it; None: nowhere. arm, propensity: of a protocol that runs.
    """

    choice: Integers
    slot: Integers
    known: Booleans
    options: pl.Series | None = field(default=None, repr=False)
    reasons: pl.Series | None = field(default=None, repr=False)
    model: str = ""
    contract: str = ""
    terms: str = ""
    own_part: Booleans | None = None
    arm: pl.Series | None = field(default=None, repr=False)
    propensity: pl.Series | None = field(default=None, repr=False)


def without_model(standards: Standards) -> Chosen:
    """Propose the standard message to everybody."""
    rows = len(standards.index)
    return Chosen(choice=standards.choice, slot=standards.slot, known=np.zeros(rows, np.bool_))


def proposal_rows(
    standards: Standards,
    chosen: Chosen,
    tokens: pl.Series,
    personalise: Booleans,
    stands_on: Mapping[str, object],
    patients: pl.Series,
    library: Library,
    timing: Timing,
    now: datetime,
) -> pl.DataFrame:
    """Write rows of ``PROPOSAL_COLUMNS``. tokens, personalise, patients (canonical): of the rows.

    stands_on: of all of them, beside what is each patient's own.
    """
    every = np.arange(len(standards.index))
    module = standards.fits.module[every, chosen.choice]
    standard = standards.fits.module[every, standards.choice]
    zone = timing.zone[standards.index]
    names, digests, channels = (
        pl.Series([getattr(one, field) for one in library.modules], dtype=pl.String)
        for field in ("name", "digest", "channel")
    )
    grounds = _grounds(stands_on, chosen, personalise)
    frame = pl.DataFrame(
        {
            "token": tokens,
            "occasion": standards.occasion,
            "module": names.gather(module),
            "module_digest": digests.gather(module),
            "standard": names.gather(standard),
            "channel": channels.gather(module),
            "send_after": _texts(timing.after[zone, chosen.slot]),
            "send_before": _texts(timing.before[zone, chosen.slot]),
            "population": pl.Series(["unknown", "known"]).gather(chosen.known.astype(np.int64)),
            "stands_on": _authorised(grounds, module, patients, library),
            "reasons": _known(chosen.reasons, _why_due(standards)),
            "options": _known(chosen.options, pl.repeat("[]", len(every), eager=True)),
            "arm": _known(chosen.arm, pl.repeat("", len(every), eager=True)),
            "propensity": _known(chosen.propensity, pl.repeat(1.0, len(every), eager=True)),
        }
    )
    same = {
        "recipient": "patient", "trigger": standards.trigger.name, "topic": standards.trigger.topic,
        "made_at": as_text(now), "model": chosen.model, "contract": chosen.contract,
    }  # fmt: skip
    return frame.with_columns(**{name: pl.lit(value) for name, value in same.items()}).select(
        PROPOSAL_COLUMNS
    )


def _grounds(stands_on: Mapping[str, object], chosen: Chosen, personalise: Booleans) -> pl.Series:
    """Write on what each proposal stands, as JSON; there are four texts, each written once."""
    own = np.zeros(len(personalise), np.bool_) if chosen.own_part is None else chosen.own_part
    study = {"terms": chosen.terms} if chosen.terms else {}
    texts = pl.Series(
        [
            _json({**stands_on, **study, "personalise": may, **({"own_part": True} if used else {})})
            for may, used in product((False, True), (False, True))
        ]
    )
    return texts.gather(2 * personalise.astype(np.int64) + own)


def _why_due(standards: Standards) -> pl.Series:
    """Write as JSON why each message is due; the reasons where no model chose."""
    texts = standards.occasion.unique()
    written = [_json([f"{standards.trigger.name}: {text}"]) for text in texts.to_list()]
    return standards.occasion.replace_strict(
        texts, pl.Series(written, dtype=pl.String), return_dtype=pl.String
    )


def _authorised(stands_on: pl.Series, module: Integers, patients: pl.Series, library: Library) -> pl.Series:
    """Add to each marketing message the authorisation on which it stands: who pays, the topic, the day."""
    marketing = [place for place, one in enumerate(library.modules) if one.message_class == MARKETING]
    for row in np.flatnonzero(np.isin(module, marketing)).tolist():
        one = library.modules[module[row]]
        signed = library.authorisations.signed(patients[row], one.paid_by, one.topic)
        text = f"signed on {signed} about {one.topic}" + (f", paid by {one.paid_by}" if one.paid_by else "")
        plain = {**read_json(stands_on[row].encode(), _LARGEST_GROUNDS), "authorisation": text}
        stands_on[row] = _json(plain)
    return stands_on


def held_rows(standards: Standards, tokens: pl.Series, now: datetime) -> pl.DataFrame:
    """Write rows of ``HELD_COLUMNS`` for what a rule holds. tokens: of all rows."""
    rules = pl.Series([*RULES], dtype=pl.String).gather(standards.rule.astype(np.int64))
    return (
        pl.DataFrame({"token": tokens, "occasion": standards.occasion, "rule": rules})
        .filter(pl.col("rule") != "")
        .with_columns(
            trigger=pl.lit(standards.trigger.name),
            why=pl.col("rule").replace_strict(WHY),
            made_at=pl.lit(as_text(now)),
        )
        .select(HELD_COLUMNS)
    )


def _known(values: pl.Series | None, instead: pl.Series) -> pl.Series:
    return instead if values is None else values.zip_with(values.is_not_null(), instead)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _texts(times: NDArray[np.datetime64]) -> pl.Series:
    """Write times as the journal does; each distinct one once, since there are few."""
    distinct, back = np.unique(times, return_inverse=True)
    return pl.Series([f"{one}Z" for one in np.datetime_as_string(distinct, "s")], dtype=pl.String).gather(
        back
    )
