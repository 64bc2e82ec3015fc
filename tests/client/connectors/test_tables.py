"""Sources of tables: the contract's columns and no others, text or typed, and errors in one line."""

import gzip
from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import visits_contract
from wardround.client.connectors import parsing
from wardround.client.connectors.files import FileSource, scan_file
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.readable import check_types, count_unreadable
from wardround.client.connectors.source import DAMAGED, TablePlace, Tables, read_tables
from wardround.client.gate.admit import admit
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, TableError

CONTRACT = contract_from_mapping(
    visits_contract(
        features={
            "age": {"kind": "numeric", "column": "age", "edges": [18, 65]},
            "reminded": {"kind": "boolean", "column": "reminded"},
            "sex": {"kind": "categorical", "table": "patients", "column": "sex", "vocabulary": ["F", "M"]},
        }
    )
)
MESSAGES = pl.DataFrame(
    {
        "id": ["7", "7", "8"],
        "booked": ["2024-05-01T09:00:00", "2024-05-02", "2024-05-03 10:30"],
        "due": ["2024-05-04", "2024-05-05", "2024-05-06"],
        "came": ["1", "0", "1"],
        "age": ["40", "40", "x"],
        "reminded": ["yes", "0", ""],
        "diagnosis": ["MARK-SECRET"] * 3,
    }
)
PATIENTS = pl.DataFrame({"pat_no": ["8", "7"], "sex": ["M", "F"], "name": ["MARK-NAME", "MARK-NAME"]})
NOW = datetime(2024, 6, 1, tzinfo=UTC)
EVENT = ("row", "label", "feature:age", "feature:reminded", "feature:sex")


def events_of(tables):
    admitted = admit(tables, CONTRACT, b"key", NOW)
    return pl.concat([admitted.training, admitted.heldout]).sort("row").select(EVENT)


EXPECTED = [(0, 1, 1, 1, 0), (1, 0, 1, 0, 0), (2, 1, 3, 2, 1)]


@pytest.fixture
def folder(tmp_path):
    MESSAGES.write_csv(tmp_path / "messages.csv")
    (tmp_path / "messages.csv.gz").write_bytes(gzip.compress((tmp_path / "messages.csv").read_bytes()))
    MESSAGES.write_parquet(tmp_path / "messages.parquet")
    PATIENTS.write_csv(tmp_path / "patients.csv")
    return tmp_path


def mapping(messages="messages.csv"):
    return {
        "messages": {"path": messages},
        "patients": {"path": "patients.csv", "columns": {"id": "pat_no"}},
    }


@pytest.mark.parametrize("name", ["messages.csv", "messages.csv.gz", "messages.parquet"])
def test_files_give_the_same_events_and_only_the_contracts_columns(folder, name):
    tables = read_tables(source_from_mapping(mapping(name), folder), CONTRACT)
    assert events_of(tables).rows() == EXPECTED
    for table in ("messages", "patients"):
        frame = tables.part(table, CONTRACT)
        assert set(frame.collect_schema().names()) - {DAMAGED} == set(CONTRACT.columns(table))
        assert "MARK" not in str(frame.collect().to_dict(as_series=False))


def test_typed_columns_give_the_same_events_as_text():
    typed = pl.DataFrame(
        {
            "id": [7, 7, 8],
            "booked": [datetime(2024, 5, 1, 9), datetime(2024, 5, 2), datetime(2024, 5, 3, 10, 30)],
            "due": [date(2024, 5, 4), date(2024, 5, 5), date(2024, 5, 6)],
            "came": [1.0, 0.0, 1.0],
            "age": [40.0, 40.0, float("nan")],
            "reminded": [True, False, None],
        }
    )
    patients = pl.DataFrame({"id": [8.0, 7.0], "sex": pl.Series(["M", "F"], dtype=pl.Categorical)})
    assert events_of(Tables(typed, patients)).rows() == EXPECTED


def test_what_is_missing_is_one_line(folder):
    cases = {
        "messages: no file .*nowhere.csv": mapping("nowhere.csv"),
        "patients: no such table in the mapping, but contract visits needs it": {
            "messages": {"path": "messages.csv"}
        },
        "patients: patients.csv: column id is missing; there is .*pat_no": {
            "messages": {"path": "messages.csv"},
            "patients": {"path": "patients.csv"},
        },
        "messages: messages.csv: column bookd is missing; there is booked": {
            **mapping(),
            "messages": {"path": "messages.csv", "columns": {"booked": "bookd"}},
        },
        "messages: table.docx: must end in": mapping("table.docx"),
    }
    (folder / "table.docx").write_bytes(b"")
    for message, plain in cases.items():
        with pytest.raises(TableError, match=message) as caught:
            read_tables(source_from_mapping(plain, folder), CONTRACT)
        assert "\n" not in str(caught.value)


def test_a_file_that_is_no_table_is_one_line(tmp_path):
    for name, content in (("m.parquet", b"not a table"), ("m.csv", b""), ("m.csv.gz", b"\x1f\x8b\x08broken")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TableError, match=f"messages: {name}.*(cannot be read|is missing)") as caught:
            FileSource({"messages": TablePlace(name)}, tmp_path).read("messages", ("id",))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({}, "mapping.messages: is missing"),
        ({"messages": "a.csv"}, "mapping.messages=a.csv: must be a mapping"),
        ({"messages": {"table": "a"}}, "mapping.messages.path: is missing"),
        (
            {"messages": {"path": "a", "colums": {}}},
            "mapping.messages.colums: unknown key; did you mean columns",
        ),
        ({"messages": {"path": "a"}, "visits": {}}, "mapping.visits: unknown key"),
    ],
)
def test_a_wrong_mapping_is_one_line(tmp_path, plain, message):
    with pytest.raises(ConfigurationError, match=message):
        source_from_mapping(plain, tmp_path)


def test_cells_that_do_not_parse_are_counted_never_shown():
    rows = 30
    messages = pl.DataFrame(
        {
            "id": ["7"] * rows,
            "booked": ["2024-05-01"] * rows,
            "due": [None, *["2024-05-04"] * (rows - 1)],
            "came": ["1"] * rows,
            "age": ["MARK-1", "MARK-2", "n/a", *["40"] * (rows - 3)],
            "reminded": ["yes"] * rows,
        }
    )
    tables = Tables(messages, PATIENTS.rename({"pat_no": "id"}))
    found = {one.column: (one.given, one.unreadable) for one in check_types(tables, CONTRACT)}
    assert found == {"age": (29, 2), "booked": (30, 0), "came": (30, 0), "due": (29, 0), "reminded": (30, 0)}
    worse = Tables(messages.with_columns(age=pl.lit("MARK-3")), tables.patients)
    assert {one.column: one.unreadable for one in count_unreadable(worse, CONTRACT)}["age"] == 30
    with pytest.raises(
        TableError, match="messages: column age: 30 of 30 rows do not parse as a number"
    ) as caught:
        check_types(worse, CONTRACT)
    assert "MARK" not in str(caught.value)
    assert "\n" not in str(caught.value)


def timestamps(cells):
    series = pl.Series("cell", cells)  # a list, or a typed series
    return series.to_frame().select(parsing.instant("cell", series.dtype))["cell"].to_list()


def test_moments_are_read_by_row():
    zone = timezone(timedelta(hours=2))
    expected = {
        "2016-04-29T18:38:08Z": datetime(2016, 4, 29, 18, 38, 8),
        " 2016-04-29 ": datetime(2016, 4, 29),
        "2016-04-29 18:38": datetime(2016, 4, 29, 18, 38),
        "2016-04-29T18:38:08.25": datetime(2016, 4, 29, 18, 38, 8, 250_000),
        "2016-04-29T18:38:08+02:00": datetime(2016, 4, 29, 16, 38, 8),
        "2016-04-29T18:38:08-0330": datetime(2016, 4, 29, 22, 8, 8),
        "2016-02-30": None,
        "29.04.2016": None,
        "2016-04-29T18:38:08 MARK": None,
        "": None,
        None: None,
    }
    assert timestamps(list(expected)) == list(expected.values())
    for cell, timestamp in expected.items():
        if cell is not None:
            assert timestamps([cell]) == [timestamp], cell
    assert timestamps([datetime(2016, 4, 29, 18, tzinfo=zone)]) == [datetime(2016, 4, 29, 16)]
    assert timestamps([date(2016, 4, 29)]) == [datetime(2016, 4, 29)]
    assert timestamps([5]) == [None]
    for unit in (pl.Date, pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("ns"), pl.Datetime("us", "UTC")):
        extremes = pl.Series([2**31 - 1, 1 - 2**31] if unit == pl.Date else [2**62, -(2**62)]).cast(unit)
        years = [m and 1 <= m.year <= 9999 for m in timestamps(extremes)]
        assert years == [None, None] or unit == pl.Datetime("ns"), unit


def test_words_compare_as_text_and_as_numbers():
    cells = pl.DataFrame({"cell": ["0", "0.0", " No", "no", "1e0", "x", "", None]})
    found = cells.select(parsing.word_index("cell", pl.String(), ["No", "0", "1"]))["cell"].to_list()
    assert found == [1, 1, 0, None, 2, None, None, None]
    numbers = pl.DataFrame({"cell": [0.0, 1.0, 2.5, float("nan"), None]})
    found = numbers.select(parsing.word_index("cell", pl.Float64(), ["1", "0", "2.5"]))["cell"].to_list()
    assert found == [1, 0, 2, None, None]


def test_scanning_reads_every_cell_as_text(folder):
    columns = {name: name for name in MESSAGES.columns}
    assert set(scan_file(folder / "messages.csv", columns).collect_schema().dtypes()) == {pl.String}


@pytest.mark.parametrize("word", parsing.MISSING_TEXTS)
def test_a_word_for_missing_counts_in_any_case(word: str) -> None:
    for spelling in (word, word.upper(), word.title(), f" {word.swapcase()} "):
        frame = pl.DataFrame({"cell": [spelling, f"{spelling}x", None]})
        given = frame.select(parsing.is_given("cell", pl.String())).to_series()
        assert given.to_list() == [False, True, False], spelling


DAYS = ("2024-02-29", "2024-2-9", "", None, "20240101", "2023-02-29", "0", "2024-01-01")


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(DAYS), max_size=20))
def test_days_parse_alike_once_and_row_by_row(texts: list[str | None]) -> None:
    """Repeated days are parsed once per distinct text: no row may tell."""
    rows = pl.Series("day", [*texts, *texts, *texts, *texts, *texts], pl.String)
    timestamp = parsing.instant("day", pl.String())
    once = rows.to_frame().select(timestamp).to_series()
    each = [pl.Series("day", [text], pl.String).to_frame().select(timestamp).item() for text in texts]
    assert once.to_list() == each * 5


def test_a_hospitals_words_become_the_contracts_and_wrong_formats_are_one_line(folder):
    plain = mapping()
    plain["patients"]["values"] = {"sex": {"M": "F", "F": "M"}}
    read = read_tables(source_from_mapping(plain, folder), CONTRACT)
    assert events_of(read)["feature:sex"].to_list() == [1, 1, 0]
    for form, message in {
        "mapping.messages.format.seperator: unknown key; did you mean separator": {"seperator": ";"},
        "mapping.messages.format.separator=x: must be one of": {"separator": "x"},
        "mapping.messages.format.dates=DD/MM: must be one of": {"dates": "DD/MM"},
        "mapping.messages.format.timezone=Spain/X: must be a time zone": {"timezone": "Spain/X"},
        "mapping.messages.format.thousands=,: must be another": {"thousands": ",", "decimal": ","},
    }.items():
        plain["messages"]["format"] = message
        with pytest.raises(ConfigurationError, match=form):
            source_from_mapping(plain, folder)
