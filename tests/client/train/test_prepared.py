"""A cohort's design is built once, whether its gradients are preconditioned or not; nothing else differs by it."""

from dataclasses import fields, replace

import numpy as np
import pytest

from tests.builders import AGE, CHANNEL, cohort_of, small_contract
from wardround.client.train.prepared import MEMORY_BYTES, Prepared, Rows, cached_parts
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.model.precondition import Preconditioner, precondition
from wardround.protocol.terms.settings import ModelSettings

SCORE = {"kind": "numeric", "column": "score", "range": [0, 1]}
CONTRACT = contract_from_mapping(
    {
        **small_contract(),
        "features": {"age": AGE, "channel": CHANNEL, "score": SCORE},
        "crosses": [["age", "channel"]],
    }
)
LAYOUT, MODEL, KNOWN = CONTRACT.layout, ModelSettings(), precondition(CONTRACT, 0.05)


def parts_of(cohort, known: Preconditioner | None, memory_bytes: int = MEMORY_BYTES) -> list[Prepared]:
    return list(cached_parts(MODEL, LAYOUT, cohort, memory_bytes=memory_bytes, precondition=known))


def test_preconditioned_parts_are_the_same_after_plain_ones_and_share_their_rows() -> None:
    cohort = cohort_of(LAYOUT, [40, 0, 1, 30], events=5, engaged=0.4)
    (alone,) = parts_of(replace(cohort), KNOWN)
    (plain,) = parts_of(cohort, None)
    (measured,) = parts_of(cohort, KNOWN)
    assert measured.linear.block is plain.linear.block
    assert not np.allclose(measured.linear.squares, plain.linear.squares)
    for field in fields(Rows):
        found, expected = getattr(measured.linear, field.name), getattr(alone.linear, field.name)
        if hasattr(expected, "toarray"):
            found, expected = found.toarray(), expected.toarray()
        np.testing.assert_array_equal(found, expected)
    assert parts_of(cohort, None)[0] is plain
    assert parts_of(cohort, KNOWN)[0] is measured


@pytest.mark.parametrize(("per_event", "kept"), [(700, True), (600, False)])
def test_plain_parts_are_kept_beside_preconditioned_ones_where_there_is_room(
    per_event: int, kept: bool
) -> None:
    cohort = cohort_of(LAYOUT, [40], events=5, engaged=0.4)
    memory = per_event * cohort.event_count
    plain = parts_of(cohort, None, memory)
    parts_of(cohort, KNOWN, memory)
    again = parts_of(cohort, None, memory)
    assert [now is before for now, before in zip(again, plain, strict=True)] == [kept] * len(plain)
