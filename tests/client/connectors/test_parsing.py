"""Cells of every type and spelling: a value or nothing, never an error, and never another row's business."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.builders import visits_contract
from wardround.client.connectors import parsing
from wardround.client.connectors.readable import check_types
from wardround.client.connectors.source import Tables
from wardround.client.connectors.table_format import DATES, PLAIN, TableFormat, format_from_section
from wardround.client.connectors.timestamps import instant_of, next_midnight, wall_clock
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, TableError
from wardround.protocol.text.section import Section

LOS_ANGELES, MADRID = "America/Los_Angeles", "Europe/Madrid"
FORMATS = (PLAIN, *(TableFormat(dates=dates, decimal=",", timezone=LOS_ANGELES) for dates in DATES))
EXTREME = 2**62
COLUMNS = {
    "int8": pl.Series([-128, 127, None], dtype=pl.Int8),
    "uint64": pl.Series([0, 2**64 - 1, None], dtype=pl.UInt64),
    "int128": pl.Series([-(2**126), 2**126, None], dtype=pl.Int128),
    "float16": pl.Series([1.0, 60_000.0, None], dtype=pl.Float16),
    "float32": pl.Series([3e38, float("inf"), float("nan")], dtype=pl.Float32),
    "float64": pl.Series([1e308, -float("inf"), float("nan"), -0.0, 45_000.5]),
    "decimal": pl.Series([Decimal("1.00"), Decimal("9" * 30), None], dtype=pl.Decimal(38, 2)),
    "boolean": pl.Series([True, False, None]),
    "string": pl.Series(
        ["\u0661\u0662\u0663", "9" * 400, "\x00", "1e400", "2024-02-30", "24:00", "\u0301", None]
    ),
    "binary": pl.Series([b"7", b"\xff\xfe", None]),
    "date": pl.Series([2**31 - 1, 1 - 2**31, 0], dtype=pl.Int32).cast(pl.Date),
    "milliseconds": pl.Series([EXTREME, -EXTREME, 0]).cast(pl.Datetime("ms")),
    "microseconds": pl.Series([EXTREME, -EXTREME, 0]).cast(pl.Datetime("us")),
    "nanoseconds": pl.Series([EXTREME, -EXTREME, 0]).cast(pl.Datetime("ns")),
    "zoned": pl.Series([EXTREME, -EXTREME, 0]).cast(pl.Datetime("us", MADRID)),
    "zoned_ms": pl.Series([EXTREME, -EXTREME, 0]).cast(pl.Datetime("ms", LOS_ANGELES)),
    "ends": pl.Series([datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)]),
    "time": pl.Series([time(0), time(23, 59), None]),
    "duration": pl.Series([timedelta(days=9), None]),
    "categorical": pl.Series(["1", "x", None], dtype=pl.Categorical),
    "enum": pl.Series(["1", "x", None], dtype=pl.Enum(["1", "x"])),
    "list": pl.Series([[1, 2], [], None]),
    "array": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int64, 2)),
    "struct": pl.Series([{"a": 1}, None]),
    "object": pl.Series([object(), None], dtype=pl.Object),
    "null": pl.Series([None, None]),
}
WORDS = ("0", "1", "yes", "2.5")


def read(series, form=PLAIN, zone="UTC"):
    """Every function over one column: name → values."""
    column, dtype = series.alias("cell"), series.dtype
    parsers = {
        "given": parsing.is_given("cell", dtype),
        "text": parsing.text("cell", dtype),
        "lower": parsing.lower_text("cell", dtype),
        "number": parsing.number("cell", dtype, form),
        "truth": parsing.truth("cell", dtype, form),
        "word": parsing.word_index("cell", dtype, WORDS, form),
        "instant": parsing.instant("cell", dtype, form, zone),
    }
    found = column.to_frame().select(parser.alias(name) for name, parser in parsers.items())
    return found.to_dict()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: str(form.dates))
@pytest.mark.parametrize("kind", COLUMNS)
def test_every_type_gives_a_value_or_nothing(kind, form):
    for zone in ("UTC", MADRID, "Pacific/Apia"):
        found = read(COLUMNS[kind], form, zone)
        assert found["instant"].dtype == pl.Datetime("us")
        assert found["text"].dtype == pl.String
        assert found["number"].drop_nulls().is_finite().all()
        assert all(1 <= timestamp.year <= 9999 for timestamp in found["instant"].drop_nulls().to_list())


def test_types_without_a_value_of_their_own_are_nothing():
    for kind in ("time", "duration", "list", "array", "struct", "object", "null"):
        found = read(COLUMNS[kind])
        for name in ("text", "number", "truth", "word", "instant"):
            assert found[name].null_count() == len(COLUMNS[kind]), (kind, name)
    assert read(COLUMNS["decimal"])["text"].to_list() == ["1", "9" * 30, None]
    assert read(COLUMNS["binary"])["text"].to_list() == ["7", None, None]


CELLS = st.one_of(
    st.none(),
    st.text(max_size=25),
    st.text(alphabet="0123456789-/.: TZ+,", max_size=25),
    st.sampled_from(
        ["2024-03-01", "2024-03-01T09:12Z", "01/02/2024 9:05", "3,5", "1.234,5", "Sí", "NaN", "1709284320",
         "2024-03-31 02:30:00", "2024-10-27 02:30:00", "2024-03-01T09:12:07.123456+02", "20240301", "45352.5"]
    ),
)  # fmt: skip


@settings(deadline=None, max_examples=12)
@given(st.lists(CELLS, min_size=1, max_size=12), st.sampled_from(FORMATS), st.sampled_from(["UTC", MADRID]))
@example(["2024-03-01", *["x"] * 11, "2024-03-01T09:12Z"], PLAIN, "UTC")
def test_what_a_cell_becomes_depends_on_that_cell_alone(cells, form, zone):
    """Repeated five times too: columns of few words are parsed once per distinct cell."""
    together = read(pl.Series(cells * 5, dtype=pl.String), form, zone)
    for row, cell in enumerate(cells):
        alone = read(pl.Series([cell], dtype=pl.String), form, zone)
        for name, values in together.items():
            assert values[row] == alone[name][0] or values[row] is alone[name][0] is None, (name, cell)


def timestamps(cells, zone="UTC", **form):
    return read(pl.Series(cells, dtype=pl.String), TableFormat(**form), zone)["instant"].to_list()


def test_moments_are_read_in_every_usual_spelling():
    nine = datetime(2024, 3, 1, 9, 12)
    expected = {
        "2024-03-01T09:12Z": nine,
        "2024-03-01T09:12+02:00": datetime(2024, 3, 1, 7, 12),
        "2024-03-01 09:12 +02": datetime(2024, 3, 1, 7, 12),
        "2024-03-01T09:12:00.000+0000": nine,
        "2024-03-01 09:12:00 UTC": nine,
        "2024-03-01 9:12": nine,
        "2024-03-01T09:12:07,123456789Z": datetime(2024, 3, 1, 9, 12, 7, 123_456),
        "2024-03-01 09:12 PM": datetime(2024, 3, 1, 21, 12),
        "2024-03-01 12:00 am": datetime(2024, 3, 1),
        "2024-03-01T24:00": datetime(2024, 3, 2),
        "2024-03-01T24:01": None,
        "2024-03-01T09:12+99:99": None,
        "2024-03-01T09:12+02:": None,
        "2024-03-01 13:00 PM": None,
        "\u0662\u0660\u0662\u0664-\u0660\u0663-\u0660\u0661": None,  # Arabic-Indic digits
        "01/03/2024": None,
        "45352": None,
        "1709284320": None,
    }
    assert timestamps(list(expected)) == list(expected.values())


def test_day_and_month_are_never_guessed():
    cells = ["01/02/2024", "1/2/2024 9:05", "13/02/2024", "2024-02-01"]
    february, thirteenth = datetime(2024, 2, 1), datetime(2024, 2, 13)
    assert timestamps(cells) == [None, None, None, february]
    assert timestamps(cells, dates="DD/MM/YYYY") == [
        february,
        datetime(2024, 2, 1, 9, 5),
        thirteenth,
        february,
    ]
    second = datetime(2024, 1, 2)
    assert timestamps(cells, dates="MM/DD/YYYY") == [second, datetime(2024, 1, 2, 9, 5), None, february]
    assert timestamps(["01.02.2024 09:05"], dates="DD.MM.YYYY") == [datetime(2024, 2, 1, 9, 5)]
    assert timestamps(["2024/02/01"], dates="YYYY/MM/DD") == [february]
    assert timestamps(["20240201", "20240201 09:05"], dates="YYYYMMDD") == [
        february,
        datetime(2024, 2, 1, 9, 5),
    ]


def test_numbers_are_moments_only_where_that_is_declared():
    nine = datetime(2024, 3, 1, 9, 12)
    assert timestamps(["1709284320", "x"], dates="epoch_seconds") == [nine, None]
    assert timestamps(["1709284320000"], dates="epoch_milliseconds") == [nine]
    assert timestamps(["45352", "45352.3833333333"], dates="excel_days") == [datetime(2024, 3, 1), nine]
    typed = pl.Series([1_709_284_320, None])
    found = read(typed, TableFormat(dates="epoch_seconds"), LOS_ANGELES)
    assert found["instant"].to_list() == [datetime(2024, 3, 1, 1, 12), None]
    assert read(pl.Series([20_240_301]), TableFormat(dates="YYYYMMDD"))["instant"][0] == datetime(2024, 3, 1)


def test_zoned_and_plain_moments_meet_on_the_hospitals_wall_clock():
    cells = ["2024-03-01T17:00:00-08:00", "2024-03-02T01:00Z", "2024-03-01T17:00", "2024-03-01"]
    evening = datetime(2024, 3, 1, 17)
    assert timestamps(cells, LOS_ANGELES) == [evening, evening, evening, datetime(2024, 3, 1)]
    # Plain times of a table that is kept in UTC; a day alone stays that day.
    kept = timestamps(["2024-03-02T01:00:00", "2024-03-01"], LOS_ANGELES, timezone="UTC")
    assert kept == [evening, datetime(2024, 3, 1)]
    zoned = pl.Series([datetime(2024, 3, 2, 1, tzinfo=UTC)])
    assert read(zoned, PLAIN, LOS_ANGELES)["instant"].to_list() == [evening]
    assert read(pl.Series([date(2024, 3, 1)]), TableFormat(timezone="UTC"), LOS_ANGELES)["instant"][
        0
    ] == datetime(2024, 3, 1)


def test_times_that_daylight_saving_repeats_or_skips_are_read_by_the_rule():
    skipped, twice = "2024-03-31 02:30:00", "2024-10-27 02:30:00"
    assert timestamps([skipped, twice], MADRID) == [
        datetime(2024, 3, 31, 2, 30),
        datetime(2024, 10, 27, 2, 30),
    ]
    elsewhere = timestamps([skipped, twice], "UTC", timezone=MADRID)
    assert elsewhere == [datetime(2024, 3, 31, 1, 30), datetime(2024, 10, 27, 0, 30)]


def test_the_hospitals_midnight_and_now():
    now = datetime(2024, 3, 2, 1, tzinfo=UTC)
    assert wall_clock(now, LOS_ANGELES) == datetime(2024, 3, 1, 17)
    assert next_midnight(now, LOS_ANGELES) == datetime(2024, 3, 2, 8, tzinfo=UTC)
    # Never too late: of an hour that occurs twice the first, of one that is skipped the time before.
    assert instant_of(datetime(2024, 10, 27, 2, 30), MADRID) == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert instant_of(datetime(2024, 3, 31, 2, 30), MADRID) == datetime(2024, 3, 31, 0, 30, tzinfo=UTC)


def test_numbers_are_written_as_the_format_says():
    def numbers(cells, **form):
        return read(pl.Series(cells), TableFormat(**form))["number"].to_list()

    assert numbers(["3,5", "1,234"]) == [None, None]
    assert numbers(["3,5", "3.5", "1,2,3"], decimal=",") == [3.5, None, None]
    assert numbers(["1.234,5", "1.234", "3.5", "1.23"], decimal=",", thousands=".") == [
        1234.5,
        1234,
        None,
        None,
    ]
    assert numbers(["1,234.5", "1,5", "12"], thousands=",") == [1234.5, None, 12]
    assert numbers(["1 234", "1\u202f234\u00a0567"], thousands=" ") == [1234, 1_234_567]
    assert numbers(["1'234", "1\u2019234"], thousands="'") == [1234, 1234]


def test_yes_and_no_in_several_languages_and_a_tables_own_words():
    cells = ["Sí", "SI\u0301", "Oui", "ja", "sim", "YES", "Да", "Não", "nein", "non", "nee", "da", "X", "2"]
    assert read(pl.Series(cells))["truth"].to_list() == [True] * 7 + [False] * 4 + [None] * 3
    own = TableFormat(true=("x", "2"), false=("Ja",))
    assert read(pl.Series(["X", "2", "ja", "no"]), own)["truth"].to_list() == [True, True, False, False]
    assert read(pl.Series([2, 1, 0]), own)["truth"].to_list() == [True, True, False]


def test_a_format_that_contradicts_itself_or_names_no_zone_is_refused():
    with pytest.raises(ConfigurationError, match="share a word"):
        format_from_section(Section({"true": ["x"], "false": ["X"]}, "format"))
    with pytest.raises(ConfigurationError, match="must be a time zone"):
        format_from_section(Section({"timezone": "posixrules"}, "format"))


MESSAGES = pl.DataFrame(
    {
        "id": ["7"] * 20,
        "booked": ["01/02/2024"] * 20,
        "due": ["13/02/2024"] * 19 + [""],
        "came": ["1"] * 20,
        "age": ["3,5"] * 18 + ["40"] * 2,
        "reminded": ["yes"] * 10 + ["MARK"] * 10,
    }
)


def test_all_columns_that_do_not_parse_are_named_worst_first_with_the_setting():
    contract = contract_from_mapping(
        visits_contract(
            features={
                "age": {"kind": "numeric", "column": "age", "edges": [18, 65]},
                "reminded": {"kind": "boolean", "column": "reminded"},
            }
        )
    )
    with pytest.raises(TableError) as caught:
        check_types(Tables(MESSAGES), contract)
    said = str(caught.value)
    assert "MARK" not in said
    assert "\n" not in said
    parts = said.split("; messages: ")
    assert [part.removeprefix("messages: ").split(":")[0] for part in parts] == [
        "column booked", "column due", "column age", "column reminded",
    ]  # fmt: skip
    assert "20 of 20 rows do not parse as a date (ISO 8601) (100%, the first in row 1)" in parts[0]
    assert "format.dates to DD/MM/YYYY (reads 100% of them) or format.dates to MM/DD/YYYY" in said.replace(
        '"', ""
    )
    assert "MM/DD" not in parts[1]
    assert "18 of 20 rows do not parse as a number (90%, the first in row 1)" in parts[2]
    assert 'set format.decimal to "," (reads 100% of them)' in parts[2]
    assert "the first in row 11" in parts[3]
    assert "format.true" in parts[3]
    both = TableFormat(dates="DD/MM/YYYY", decimal=",", true=("mark",))
    assert not any(
        one.unreadable for one in check_types(Tables(MESSAGES, formats={"messages": both}), contract)
    )
