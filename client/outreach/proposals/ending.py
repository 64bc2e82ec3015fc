"""Which open proposals lost their ground: the trigger ended, the time passed, a rule holds now, the text changed."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import polars as pl

from wardround.client.outreach.content.choice import MARKETING, held_for_authorisation
from wardround.client.outreach.journal.records import as_text
from wardround.client.outreach.permission.permission import Permission
from wardround.client.outreach.permission.rules import RULES, channel_rules, patient_rules
from wardround.client.outreach.proposals.library import Library
from wardround.client.outreach.recalls import RecalledModels
from wardround.protocol.arrays import Booleans

OPEN_COLUMNS = (
    "id", "token", "recipient", "trigger", "occasion", "topic", "module", "module_digest", "channel", "send_before",
    "standard", "model", "stands_on",
)  # fmt: skip
PASSED, ENDED, CHANGED = "its time passed", "the trigger ended", "its module may not be sent any more"
PERSONAL, RECALLED = "personalise", "its model was recalled"


def lost_ground(
    open_: pl.DataFrame,
    due: pl.DataFrame,
    permission: Permission,
    library: Library,
    sensitive: tuple[str, ...],
    now: datetime,
    recalled: RecalledModels,
) -> Mapping[str, list[int]]:
    """Give ids by why they are void. open_: ``OPEN_COLUMNS``; due: token, trigger, occasion and index of all due now.

    Guarantee: what is left is due, allowed, approved and in time, as everything new is.
    """
    known = open_.join(due, on=("token", "trigger", "occasion"), how="left", maintain_order="left")
    patient = known["recipient"].to_numpy() == "patient"
    digests = {one.name: one.digest for one in library.modules if library.standings[one.name].may_be_sent}
    sendable = known["module"].replace_strict(digests, default=None, return_dtype=pl.String)
    late = (known["send_before"] <= as_text(now)).to_numpy()
    over = patient & known["index"].is_null().to_numpy()
    changed = ~(sendable == known["module_digest"]).fill_null(False).to_numpy()
    # The first reason counts, and each proposal has one.
    why = np.select(
        [late, over, changed, _recalled(known, recalled)], [PASSED, ENDED, CHANGED, RECALLED], default=""
    ).astype(object)
    _note_rules(why, known, patient, permission, sensitive)
    _note_authorisations(why, known, patient, permission, library)
    personal = patient & (why == "") & _was_personal(known)
    index = known["index"].to_numpy()[personal].astype(np.int64)
    why[np.flatnonzero(personal)[~permission.personalise[index]]] = PERSONAL
    lost = known.select("id").with_columns(why=pl.Series(why, dtype=pl.String)).filter(pl.col("why") != "")
    return {str(key[0]): part["id"].to_list() for key, part in lost.group_by("why")}


def _recalled(known: pl.DataFrame, recalled: RecalledModels) -> Booleans:
    terms = pl.col("stands_on").str.json_path_match("$.terms")
    named = pl.col("model").is_in(list(recalled.digests)) | terms.is_in(list(recalled.digests)).fill_null(
        False
    )
    return known.select((pl.col("model") != "") & (named | recalled.unreadable)).to_series().to_numpy()


def _note_authorisations(
    why: "np.ndarray[tuple[int], np.dtype[np.object_]]",
    known: pl.DataFrame,
    patient: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    permission: Permission,
    library: Library,
) -> None:
    modules = {one.name: one for one in library.modules if one.message_class == MARKETING}
    open_ = known["module"].is_in(list(modules)).to_numpy() & patient & (why == "")
    for row in np.flatnonzero(open_).tolist():
        name = permission.people["patient"][known["index"][row]]
        held = held_for_authorisation(modules[known["module"][row]], name, library.authorisations)
        if held is not None:
            why[row] = held.rule


def _was_personal(known: pl.DataFrame) -> Booleans:
    """Whether each is another message than the standard one, by the patient's consent to be personalised."""
    consent = pl.col("stands_on").str.json_path_match("$.personalise").fill_null("true") != "false"
    return known.select((pl.col("module") != pl.col("standard")) & consent).to_series().to_numpy()


def _note_rules(
    why: "np.ndarray[tuple[int], np.dtype[np.object_]]",
    known: pl.DataFrame,
    patient: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    permission: Permission,
    sensitive: tuple[str, ...],
) -> None:
    rows = known.with_row_index("row").filter(pl.Series(patient & (why == "")))
    for (topic, channel), part in rows.group_by("topic", "channel"):
        index = part["index"].to_numpy().astype(np.int64)
        rule = patient_rules(permission, index, str(topic), sensitive)
        other = channel_rules(permission, index, str(topic), str(channel), sensitive)
        first = np.where(rule == 0, other, rule)
        why[part["row"].to_numpy()[first > 0]] = [RULES[one] for one in first[first > 0]]
