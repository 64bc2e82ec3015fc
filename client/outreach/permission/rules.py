"""The verdict on a message: allowed, or held by the first rule that forbids it. Pure, for one message or a million.

veto       a veto holds, whatever else does
damaged    a damaged row may name the patient
contact    there is no consent to be contacted
pause      the patient asked for a pause, which is not over
topic      the patient did not choose it; a sensitive topic must have been chosen
channel    the patient chose others, or took this one back
address    none is known to be right
sensitive  a sensitive topic does not go by SMS or plain e-mail, nor to an address that several patients share
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.client.connectors.patient_form import loose_texts
from wardround.client.outreach.content.choice import Held
from wardround.client.outreach.permission.permission import Permission
from wardround.client.outreach.tables import CHANNELS
from wardround.protocol.arrays import Integers

READ_BY_OTHERS = ("sms", "email")
"""Channels that whoever holds the device reads."""
WHY = {
    "": "",
    "veto": "a veto holds",
    "damaged": "a damaged row of the consents, preferences, vetoes or addresses may name this patient",
    "contact": "there is no consent to be contacted",
    "pause": "the patient asked for a pause",
    "topic": "the patient did not choose this topic",
    "channel": "the patient wants other channels",
    "address": "no address of this channel is known to be right",
    "sensitive": "a sensitive topic goes neither by SMS or e-mail nor to a shared address",
    "language": "there is no module in the patient's language",
    "content": "no module is approved today",
    "authorisation": "it is marketing, and no authorisation is on record",
    "hours": "no time is left within the hours, or the patient's time zone is not known",
    "cap": "the patient has as many messages as the caps allow",
}
RULES = tuple(WHY)
"""A rule's number is its place; 0 is none."""


@dataclass(frozen=True)
class Allowed:
    """It may be sent to this address."""

    address: str


def patient_rules(
    permission: Permission, index: Integers, topic: str, sensitive: Collection[str]
) -> NDArray[np.uint8]:
    """Give, for each of these patients, the first rule that forbids writing about a topic at all: uint8 [index]."""
    said, alike = permission.topics, loose_texts(pl.Series([topic])).item()
    chosen, refused = (np.zeros(len(permission.people), np.bool_) for _ in range(2))
    chosen[said.filter((pl.col("topic") == topic) & pl.col("chosen"))["index"].to_numpy()] = True
    # A choice that stands is later than every refusal, however that is spelt (``gate.consent.last_words``).
    refused[said.filter((pl.col("loose") == alike) & ~pl.col("chosen"))["index"].to_numpy()] = True
    silent = ~permission.choosers & ~refused & (topic not in sensitive)
    forbids = {
        "veto": permission.vetoed[index],
        "damaged": permission.doubted[index],
        "contact": ~permission.contact[index],
        "pause": permission.paused[index],
        "topic": ~(chosen | silent)[index],
    }
    return _first(forbids, len(index))


def channel_rules(
    permission: Permission, index: Integers, topic: str, channel: str, sensitive: Collection[str]
) -> NDArray[np.uint8]:
    """Give, for each of these patients, the first rule that forbids this channel for a topic: uint8 [index]."""
    place = CHANNELS.index(channel)
    read_by_others = permission.shared[index, place] | (channel in READ_BY_OTHERS)
    forbids = {
        "channel": ~permission.wanted[index, place],
        "address": ~permission.reached[index, place],
        "sensitive": read_by_others & (topic in sensitive),
    }
    return _first(forbids, len(index))


def may_be_sent(
    permission: Permission, index: int, topic: str, channel: str, sensitive: Collection[str]
) -> Allowed | Held:
    """Give the verdict on one message to one patient."""
    one = np.array([index])
    rule = (
        patient_rules(permission, one, topic, sensitive)[0]
        or channel_rules(permission, one, topic, channel, sensitive)[0]
    )
    if rule:
        return Held(RULES[rule], WHY[RULES[rule]])
    mine = permission.addresses.filter((pl.col("index") == index) & (pl.col("channel") == channel))
    return Allowed(str(mine["address"].item()))


def _first(forbids: dict[str, NDArray[np.bool_]], count: int) -> NDArray[np.uint8]:
    found = np.zeros(count, np.uint8)
    for rule, forbidden in reversed(forbids.items()):
        found[forbidden] = RULES.index(rule)
    return found
