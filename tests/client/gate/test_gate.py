"""The gate: who is learned from, each reason by itself, and that nobody's rows depend on anybody else's."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.client.connectors.source import Tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.gate.identity import drawn_events, hospital_key, identify, tokens_of
from wardround.protocol.contract.reading import contract_from_mapping

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
KEY = b"a hospital's key"
CONTRACT = {
    "name": "visits",
    "version": 1,
    "purpose": "Reminders",
    "patient": "id",
    "decided_at": "booked",
    "outcome_at": "due",
    "label": {"column": "came", "engaged": ["yes"], "not_engaged": ["no"]},
    "events_per_patient": 3,
    "retention_days": 100,
    "consent": {"required": True, "basis": "consent"},
    "topic": {"column": "topic", "sensitive": ["maternity"]},
    "features": {
        "age": {"kind": "numeric", "column": "age", "edges": [18, 65]},
        "sex": {"kind": "categorical", "table": "patients", "column": "sex", "vocabulary": ["F", "M"]},
        "steps": {
            "kind": "numeric", "table": "patients", "column": "steps", "range": [0, 10000],
            "source": "wearable",
        },
        "past": {"kind": "history", "statistic": "count", "edges": [1, 2]},
        "rate": {"kind": "history", "statistic": "rate", "edges": [0.5]},
    },
}  # fmt: skip


def contract(**changes):
    return contract_from_mapping({**CONTRACT, **changes})


def message(
    patient="a", booked="2024-05-01T09:00:00", due="2024-05-03", came="yes", topic="refill", age="40"
):
    return {"id": patient, "booked": booked, "due": due, "came": came, "topic": topic, "age": age}


def consent(
    patient="a", kind="purpose", value="reminders", granted="2024-01-01", withdrawn=None, expires=None
):
    return {
        "id": patient, "kind": kind, "value": value,
        "granted_at": granted, "withdrawn_at": withdrawn, "expires_at": expires,
    }  # fmt: skip


def frame(rows, like):
    return pl.DataFrame(rows, schema=dict.fromkeys(like, pl.String), orient="row")


def tables(messages, consents=(), patients=()):
    return Tables(
        frame(messages, message()),
        frame([{"id": i, "sex": s, "steps": n} for i, s, n in patients], {"id": 0, "sex": 0, "steps": 0}),
        frame(list(consents), consent()),
    )


def passed(admitted):
    """Rows of the messages that pass, whichever part they are in."""
    return sorted(r for part in (admitted.training, admitted.heldout) for r in part["row"].to_list())


def counts(admitted):
    return {
        reason: n
        for reason, n in admitted.counts.items()
        if n and not reason.endswith((" events", " patients"))
    }


def rows_admitted(messages, consents=None, now=NOW, **changes):
    given_consents = [consent()] if consents is None else consents
    admitted = admit(tables(messages, given_consents), contract(**changes), KEY, now)
    found = counts(admitted)
    found.pop("source wearable without opt-in (values only)", None)
    return passed(admitted), found


def test_history_by_topic_follows_what_the_patient_does_with_that_topic():
    features = {
        "topic": {"kind": "categorical", "column": "topic", "vocabulary": ["refill", "flu"]},
        "by_topic": {"kind": "history", "statistic": "rate", "by": "topic", "edges": [0.5]},
        "overall": {"kind": "history", "statistic": "count", "edges": [1, 2, 3]},
    }
    rows = [
        message(booked="2024-05-01", due="2024-05-02", topic="refill", came="yes"),
        message(booked="2024-05-01", due="2024-05-02", topic="flu", came="no"),
        message(booked="2024-05-10", due="2024-05-11", topic="refill"),
        message(booked="2024-05-10", due="2024-05-11", topic="flu"),
        message(booked="2024-05-10", due="2024-05-11", topic="other things"),
    ]
    open_to_all = contract(features=features, topic=None, consent={"required": False}, events_per_patient=9)
    admitted = admit(tables(rows), open_to_all, KEY, NOW)
    found = pl.concat([admitted.training, admitted.heldout, admitted.undecided]).sort("row")
    missing = 2
    assert found["feature:by_topic"].to_list() == [missing, missing, 1, 0, missing]
    assert found["feature:overall"].to_list()[2:] == [2, 2, 2]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"patient": None}, "no identifier"),
        ({"patient": " "}, "no identifier"),
        ({"booked": "2024-02-30"}, "unreadable date"),
        ({"due": None}, "unreadable date"),
        ({"due": "2024-04-30"}, "outcome before decision"),
        ({"booked": "2024-06-01T12:00:01", "due": "2024-06-09"}, "decided in the future"),
        ({"booked": "2024-02-01"}, "past retention"),
        ({"patient": "b"}, "no consent for the purpose"),
        ({"topic": "maternity"}, "sensitive topic without opt-in"),
        ({"topic": None}, "topic not chosen"),
        ({"came": "perhaps"}, "unreadable label"),
        ({"due": "2024-06-01"}, "outcome not yet known"),
    ],
)
def test_each_reason_sets_aside_its_event_alone(fault, reason):
    assert rows_admitted([message(), message(**fault), message()]) == ([0, 2], {reason: 1})


CASES = [
    ([consent()], True),
    ([consent(value=" Reminders ", kind="Purpose")], True),
    ([], False),
    ([consent("b")], False),
    ([consent(value="billing")], False),
    ([consent(kind="topic")], False),
    ([consent(granted=None)], False),
    ([consent(granted="soon")], False),
    ([consent(granted="2024-06-02")], False),
    ([consent(withdrawn="2024-05-01")], False),
    ([consent(withdrawn="2024-01-01")], False),
    ([consent(withdrawn="2024-06-02")], False),
    ([consent(withdrawn="yesterday")], False),
    ([consent(withdrawn="2023-05-01")], True),
    ([consent(), consent(granted="2024-05-02", withdrawn="2024-05-01")], True),
    ([consent(), consent(granted=None, withdrawn="2024-05-01")], False),
    ([consent(granted="2024-05-03"), consent(granted=None, withdrawn="2024-05-01")], True),
    ([consent(), consent(granted=None, withdrawn="yesterday")], False),
    ([consent(expires="2024-06-01")], False),
    ([consent(expires="next year")], False),
    ([consent(expires="2024-06-02")], True),
    ([consent(expires="2024-03-01"), consent(granted="2024-02-01")], True),
    ([consent(), consent(granted="2024-02-01", expires="2024-03-01")], False),
    ([consent(), consent(expires="2024-03-01")], False),
]


@pytest.mark.parametrize(("consents", "admitted"), CASES)
def test_consent_is_the_last_word_and_doubt_is_a_no(consents, admitted):
    assert rows_admitted([message()], consents)[0] == ([0] if admitted else [])
    assert rows_admitted([message()], consents[::-1])[0] == ([0] if admitted else [])


def test_without_required_consent_an_opt_out_still_counts():
    public = {"required": False, "basis": "public table"}
    messages = [message(), message("b"), message("c")]
    consents = [consent("b", withdrawn="2024-05-01"), consent("c")]
    assert rows_admitted(messages, consents, consent=public)[0] == [0, 2]


def test_consent_counts_as_of_the_time_of_computing():
    consents = [consent(withdrawn="2024-05-20", expires="2025-01-01")]
    assert rows_admitted([message()], consents, NOW)[0] == []
    consents = [consent(expires="2024-05-20")]
    assert rows_admitted([message()], consents, NOW - timedelta(days=20))[0] == [0]
    assert rows_admitted([message()], consents, NOW)[0] == []


@pytest.mark.parametrize(
    ("choices", "topics"),
    [
        ([], ["refill", "wellness"]),
        ([("refill", None)], ["refill"]),
        ([("Refill", "2024-05-01")], []),
        ([("maternity", None)], ["maternity"]),
        ([("maternity", None), ("wellness", None)], ["wellness", "maternity"]),
        ([("maternity", "2024-05-01"), ("refill", None)], ["refill"]),
    ],
)
def test_topics_are_those_that_the_patient_chose(choices, topics):
    messages = [message(topic=topic) for topic in ("refill", "wellness", "maternity")]
    consents = [consent(), *(consent(kind="topic", value=v, withdrawn=w) for v, w in choices)]
    rows, _ = rows_admitted(messages, consents)
    assert sorted(messages[r]["topic"] for r in rows) == sorted(topics)


def test_a_source_without_opt_in_gives_missing_values_only():
    everyone = [consent(p) for p in "abc"]
    sources = [
        consent("a", "source", "wearable"),
        consent("b", "source", "Wearable", withdrawn="2024-05-01"),
    ]
    patients = [("a", "F", "10000"), ("b", "M", "10000"), ("c", "F", "10000")]
    drawn = tables([message(p) for p in "abc"], everyone + sources, patients)
    admitted = admit(drawn, contract(), KEY, NOW)
    events = pl.concat([admitted.training, admitted.heldout]).sort("row")
    assert events["feature:steps"].to_list() == [1.0, 0.0, 0.0]
    assert events["feature:sex"].to_list() == [0, 1, 0]
    assert counts(admitted) == {"source wearable without opt-in (values only)": 2}


def test_no_consents_table_is_nobodys_consent():
    rows = frame([message()], message())
    assert passed(admit(Tables(rows), contract(), KEY, NOW)) == []
    public = contract(consent={"required": False, "basis": "public table"})
    admitted = admit(Tables(rows), public, KEY, NOW)
    assert passed(admitted) == [0]


def test_what_is_set_aside_is_not_in_the_history_either():
    earlier = [
        message(booked="2024-04-02"),
        message(booked="2024-02-01", due="2024-02-02"),  # past retention
        message(booked="2024-04-01", topic="maternity", due="2024-04-02"),  # not opted in to
        message(booked="2024-04-03", due="2024-04-04", came="?"),  # unreadable, but decided
    ]
    admitted = admit(tables([*earlier, message()], [consent()]), contract(), KEY, NOW)
    events = pl.concat([admitted.training, admitted.heldout, admitted.undecided]).sort("row")
    assert dict(zip(events["row"], events["feature:past"], strict=True)) == {0: 0, 3: 1, 4: 2}
    assert events["known"].to_list() == [False, True, True]


def test_an_outcome_still_to_come_is_pending_but_never_shown():
    messages = [message(due="2024-06-01", came="yes"), message(booked="2024-05-20", due="2024-05-21")]
    admitted = admit(tables(messages, [consent()]), contract(), KEY, NOW)
    assert passed(admitted) == [1]
    assert admitted.undecided["row"].to_list() == [0]
    assert admitted.undecided["label"].to_list() == [-1]
    after = admit(tables(messages, [consent()]), contract(), KEY, NOW + timedelta(days=1))
    assert passed(after) == [0, 1]


def test_unknown_patients_only_where_the_contract_admits_them():
    messages = [message(), message(booked="2024-05-10", due="2024-05-11")]
    assert rows_admitted(messages)[0] == [0, 1]
    assert rows_admitted(messages, unknown_patients=False) == ([1], {"patient without history": 1})


def many_patients(events=1, count=4000):
    booked = [f"2024-05-{1 + e:02d}T08:00:00" for e in range(events)]
    messages = [message(f"p{p}", booked=b, due="2024-05-25") for p in range(count) for b in booked]
    return tables(messages, [consent(f"p{p}") for p in range(count)])


def test_a_quarter_of_the_patients_is_held_out_for_good():
    population = many_patients()
    admitted = admit(population, contract(), KEY, NOW)
    share = len(admitted.heldout) / 4000
    assert abs(share - 0.25) < 0.035  # five standard deviations
    later = admit(population, contract(name="another-study", version=9), KEY, NOW + timedelta(days=2))
    assert later.heldout["row"].to_list() == admitted.heldout["row"].to_list()
    other = admit(population, contract(), b"another key", NOW)
    assert other.heldout["row"].to_list() != admitted.heldout["row"].to_list()
    assert not set(other.training["token_high"]) & set(admitted.training["token_high"])


def test_at_most_k_events_of_a_training_patient_and_all_of_a_held_out_one():
    admitted = admit(many_patients(events=8, count=1000), contract(), KEY, NOW)
    assert set(encode(admitted.training, contract()).events_per_patient) == {3}
    assert set(encode(admitted.heldout, contract()).events_per_patient) == {8}
    beyond = admitted.counts["beyond K events of a training patient"]
    assert beyond == admitted.counts["training patients"] * 5


def test_which_events_are_drawn_depends_on_seed_and_number_alone():
    seeds = np.array([5, 77, 5], np.uint64)
    drawn = drawn_events(seeds, np.array([0, 9, 11, 20]), 4)
    assert drawn[:9].sum() == 4
    assert drawn[9:11].all()
    np.testing.assert_array_equal(drawn[:9], drawn[11:])
    alone = drawn_events(seeds[:1], np.array([0, 9]), 4)
    np.testing.assert_array_equal(alone, drawn[:9])


def test_each_event_is_drawn_equally_often():
    count, events, most = 20_000, 6, 2
    drawn = drawn_events(np.arange(count, dtype=np.uint64), np.arange(count + 1) * events, most)
    shares = drawn.reshape(count, events).mean(axis=0)
    stddev = np.sqrt(most / events * (1 - most / events) / count)
    assert np.all(np.abs(shares - most / events) < 5 * stddev)


def test_labels_and_features_have_no_part_in_the_draw():
    population = many_patients(events=8, count=200)
    turned = Tables(
        population.messages.with_columns(came=pl.lit("no"), age=pl.lit("90")),
        population.patients,
        population.consents,
    )
    first, second = (admit(t, contract(), KEY, NOW).training["row"].to_list() for t in (population, turned))
    assert first == second


def test_patients_of_the_same_name_at_two_hospitals_are_two():
    messages = pl.DataFrame([{**message("a"), "hospital": h} for h in ("north", "south")])
    consents = pl.DataFrame(
        [{**consent("a"), "hospital": "south"}], schema_overrides={"withdrawn_at": pl.String}
    )
    patients = pl.DataFrame(
        [{"id": "a", "sex": "F", "steps": "1", "hospital": h} for h in ("north", "south")]
    )
    admitted = admit(Tables(messages, patients, consents), contract(), KEY, NOW)
    assert passed(admitted) == [1]
    public = contract(consent={"required": False, "basis": "public table"})
    both = admit(Tables(messages, patients), public, KEY, NOW)
    tokens = pl.concat([both.training, both.heldout]).select("token_high", "token_low")
    assert tokens.n_unique() == 2


def test_tokens_and_split_can_be_computed_with_the_hospitals_key_alone():
    names = pl.DataFrame({"patient": [f"{number}" for number in range(400)]})
    ours, again, other = (identify(names, key).sort("patient") for key in (KEY, KEY, bytes(32)))
    assert ours.equals(again)
    tokens = [set(zip(found["token_high"], found["token_low"], strict=True)) for found in (ours, other)]
    assert len(tokens[0]) == 400
    assert not tokens[0] & tokens[1]
    # Two keys draw the held-out quarter independently: both agree on 1 − 2·¼·¾ = 62.5 % of the patients.
    assert 0.5 < (ours["heldout"] == other["heldout"]).mean() < 0.75


def test_a_single_hospital_with_its_derived_key_draws_as_the_federation_does():
    population = many_patients(events=8, count=100)
    parts = [
        part.with_columns(hospital=pl.lit("north"))
        for part in (population.messages, population.patients, population.consents)
    ]
    whole = encode(admit(Tables(*parts), contract(), KEY, NOW).training, contract())
    alone = encode(admit(population, contract(), hospital_key(KEY, "north"), NOW).training, contract())
    np.testing.assert_array_equal(whole.tokens, alone.tokens)
    np.testing.assert_array_equal(whole.rows, alone.rows)


DAYS = st.integers(1, 31)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "patient": st.sampled_from(["a", "b", "c"]),
            "booked": st.builds("2024-05-{:02d}T{:02d}:00:00".format, DAYS, st.sampled_from([8, 8, 17])),
            "due": st.one_of(st.builds("2024-05-{:02d}".format, DAYS), st.just("2024-06-03"), st.just("?")),
            "came": st.sampled_from(["yes", "no", "no", "x"]),
            "topic": st.sampled_from(["refill", "maternity", "wellness", ""]),
            "age": st.sampled_from(["3", "30", "90", "old"]),
        }
    ),
    max_size=25,
)
CONSENTS = st.lists(
    st.builds(
        consent,
        patient=st.sampled_from(["a", "b", "c"]),
        kind=st.sampled_from(["purpose", "purpose", "topic", "source"]),
        value=st.sampled_from(["reminders", "refill", "maternity", "wearable"]),
        granted=st.sampled_from(["2024-01-01", "2024-03-01", "?", None]),
        withdrawn=st.sampled_from([None, None, "2024-02-01", "?"]),
        expires=st.sampled_from([None, None, "2024-05-01", "2025-01-01"]),
    ),
    max_size=12,
)
BASE_CONSENTS = [consent("a"), consent("b"), consent("b", "source", "wearable")]
PATIENTS = [("a", "F", "5000"), ("b", "M", "x"), ("b", "F", "1")]


HALVES = ("token_high", "token_low")
TOKEN_OF_A = tokens_of(*(identify(pl.DataFrame({"patient": ["a"]}), KEY)[h].to_numpy() for h in HALVES))


def rows_of_a(cohort):
    """Everything that a cohort holds of patient a, row numbers apart, as bytes; None where a is not there."""
    where = np.flatnonzero((cohort.tokens == TOKEN_OF_A).all(axis=1))
    if len(where) == 0:
        return None
    events = slice(*cohort.events_from[where[0] : where[0] + 2])
    arrays = (cohort.bins, cohort.values, cohort.labels, cohort.known)
    return [np.ascontiguousarray(array[events]).tobytes() for array in arrays]


def cohorts(messages, consents, patients):
    admitted = admit(tables([message(**m) for m in messages], consents, patients), contract(), KEY, NOW)
    return [encode(part, contract()) for part in (admitted.training, admitted.heldout, admitted.undecided)]


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(rows=MESSAGES, extra=CONSENTS, order=st.randoms(use_true_random=False))
def test_a_patient_is_the_same_bit_for_bit_whoever_else_is_there(rows, extra, order):
    """Rule 1, through the whole gate: leave others out, or shuffle their rows in between."""
    consents = BASE_CONSENTS + extra
    together = cohorts(rows, consents, PATIENTS)
    own = [m for m in rows if m["patient"] == "a"]
    alone = cohorts(own, [c for c in consents if c["id"] == "a"], PATIENTS[:1])
    others = [m for m in rows if m["patient"] != "a"]
    order.shuffle(others)
    mixed = list(own)
    for other in others:
        mixed.insert(order.randint(0, len(mixed)), other)
    own_order = iter(own)
    mixed = [next(own_order) if m["patient"] == "a" else m for m in mixed]
    shuffled = cohorts(mixed, consents, PATIENTS)
    expected = [rows_of_a(part) for part in alone]
    assert [rows_of_a(part) for part in together] == expected
    assert [rows_of_a(part) for part in shuffled] == expected


def test_nothing_personal_shows_in_a_repr():
    admitted = admit(tables([message("MARK-77")], [consent("MARK-77")]), contract(), KEY, NOW)
    shown = repr(admitted) + repr(tables([message("MARK-77")])) + repr(encode(admitted.training, contract()))
    assert "MARK-77" not in shown
    assert "yes" not in shown
    columns = set(admitted.training.columns)
    assert columns == {"row", "label", "known", "token_high", "token_low"} | {
        f"feature:{name}" for name in CONTRACT["features"]
    }
