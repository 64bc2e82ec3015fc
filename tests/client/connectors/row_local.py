"""Whatever stands in one patient's rows, every other patient's encoded rows are the same bits, and nothing raises.

``check_row_local`` takes two states of a hospital's tables that differ in one patient's rows, whatever source they are
in; ``draw_rows`` invents the rows of the first.
"""

import random
from datetime import UTC, datetime

import numpy as np
import polars as pl

from tests.builders import visits_contract
from wardround.client.cohort import Cohort
from wardround.client.connectors.source import TableSource, read_tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.gate.identity import identify
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping

KEY = b"row-local"
NOW = datetime(2024, 6, 1, tzinfo=UTC)
VICTIM = "victim"
"""The patient whose cells are replaced."""
CONTRACT = contract_from_mapping(
    visits_contract(
        label={"column": "came", "engaged": ["1", "yes"], "not_engaged": ["0"]},
        events_per_patient=2,
        features={
            "age": {"kind": "numeric", "column": "age", "edges": [18, 65]},
            "reminded": {"kind": "boolean", "column": "reminded"},
            "channel": {"kind": "categorical", "column": "channel", "vocabulary": ["sms", "post"]},
            "reach": {"kind": "ordered", "column": "channel", "vocabulary": ["post", "sms"]},
            "way": {"kind": "hierarchical", "column": "channel", "tree": {"far": ["sms"], "paper": ["post"]}},
            "code": {"kind": "hierarchical", "column": "age", "codes": ["3-7", "40-70", "55.5"]},
            "hour": {"kind": "hour", "column": "booked", "edges": [9, 15]},
            "lead": {"kind": "gap_days", "from": "booked", "to": "due", "range": [0, 40]},
            "rate": {"kind": "history", "statistic": "rate", "edges": [0.5]},
        },
    )
)
COLUMNS = ("id", "note", "booked", "due", "came", "age", "reminded", "channel", "ward")
"""note and ward are columns that the contract does not read."""
Row = list[str]
Seen = dict[bytes, tuple[bytes, ...]]


def draw_rows(rng: random.Random) -> list[Row]:
    """Invent the messages of some patients, the victim among them, in any order."""
    patients = [f"p{number}" for number in range(rng.randint(1, 6))] + [VICTIM]
    rows = []
    for patient in [*patients, VICTIM, *rng.choices(patients, k=rng.randint(1, 12))]:
        day, lead = rng.randint(1, 28), rng.randint(0, 30)
        due = datetime(2024, 3, day).toordinal() + lead
        rows.append(
            [
                patient,
                rng.choice(["", "ok", 'splint 5" left', "a  b", "é"]),
                f"2024-03-{day:02d}T{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:00",
                datetime.fromordinal(due).date().isoformat(),
                rng.choice(["0", "1", "yes", "?"]),
                str(rng.choice([3, 40, 70, "", 55.5])),
                rng.choice(["yes", "no", ""]),
                rng.choice(["sms", "post", "fax"]),
                rng.choice(["north", "south"]),
            ]
        )
    rng.shuffle(rows)
    return rows


def check_row_local(before: TableSource, after: TableSource, contract: Contract = CONTRACT) -> None:
    """Fail where a patient other than the victim is encoded otherwise; what raises, raises."""
    expected, found = seen(before, contract), seen(after, contract)
    for token, rows in expected.items():
        assert token == token_of(VICTIM) or found.get(token) == rows, "another patient's rows changed"


def seen(source: TableSource, contract: Contract = CONTRACT) -> Seen:
    """Give each patient's encoded events, by account, as bytes; the rows' numbers apart, which lines may move."""
    admitted = admit(read_tables(source, contract), contract, KEY, NOW)
    found: Seen = {}
    for name in ("training", "heldout", "undecided"):
        cohort = encode(getattr(admitted, name), contract)
        for place, token in enumerate(cohort.tokens):
            found[token.tobytes()] = (*found.get(token.tobytes(), ()), name.encode(), *_events(cohort, place))
    return found


def token_of(patient: str) -> bytes:
    """Give a patient's token."""
    people = identify(pl.DataFrame({"patient": [patient]}), KEY)
    return np.array(people.select("token_high", "token_low").row(0), ">u8").tobytes()


def _events(cohort: Cohort, place: int) -> tuple[bytes, ...]:
    part = slice(*cohort.events_from[place : place + 2])
    arrays = (cohort.bins, cohort.values, cohort.labels, cohort.known)
    return tuple(np.ascontiguousarray(array[part]).tobytes() for array in arrays)
