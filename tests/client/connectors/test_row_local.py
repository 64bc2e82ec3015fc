"""The property of row-locality over every kind of file: random bytes, random types, and the old reader found out.

By hand: ``ROW_LOCAL_TABLES=5000 pytest tests/client/connectors/test_row_local.py`` tries so many tables of each kind.
"""

import gzip
import os
import random
import re
import zipfile
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow
import pytest
import python_calamine
import xlsxwriter
import zstandard
from pyarrow import ipc, parquet

from tests.client.connectors.row_local import COLUMNS, VICTIM, check_row_local, draw_rows, seen, token_of
from wardround.client.connectors.files import FileSource
from wardround.client.connectors.source import TablePlace

TABLES = int(os.environ.get("ROW_LOCAL_TABLES", "0"))
NASTY = (
    b'"', b'""', b'"""', b",", b";", b"\t", b"\r", b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xe9",
    b"\xed\xa0\x80", b"'", b"\\", b'\\"', b" ", b"#", b"a", b"1", b"-1", b"1e308", b"inf", b"nan", b"9" * 400,
    b"9999-12-31", b"-0001-01-01", b"2024-03-01T25:61:00", b"2024-01-05T09:00:00+\xd9\xa0\xd9\xa1:00",
    b"2024-01-05T09:00:00+99:99", b"10000-01-01", b"\xe2\x80\x8b", b"\xf0\x9f\x92\x89", b"victim", b"yes",
    b"None", b"sep=;", b"\x1a", b"\x0b", b"\x85",
)  # fmt: skip
LINES = (b"\n", b"\r\n", b"\n\n", b'\n"', b"\n,,,,,,,,\n")


def nasty_bytes(rng: random.Random, alphabet: tuple[bytes, ...]) -> bytes:
    """Some pieces of what files go wrong by, and now and then bytes of any kind but ends of lines."""
    if rng.random() < 0.2:
        return rng.randbytes(rng.randint(0, 12)).translate(None, b"\r\n")
    return b"".join(rng.choices(alphabet, k=rng.randint(0, 4)))


def quoted(cell: bytes, separator: bytes, always: bool) -> bytes:
    if always or separator in cell or cell[:1] == b'"':
        return b'"' + cell.replace(b'"', b'""') + b'"'
    return cell


def text_file(rng: random.Random, rows, alphabet=NASTY, separator=b",", always=False, end=b"\n", utf16=False):
    """The file, and the file with other cells in the victim's rows."""

    def code(text: bytes) -> bytes:
        return text.decode().encode("utf-16-le") if utf16 else text

    header = code(separator.join(quoted(name.encode(), separator, always) for name in COLUMNS))
    lines, changed = [header], [header]
    for row in rows:
        cells = [code(quoted(cell.encode(), separator, always)) for cell in row]
        lines.append(code(separator).join(cells))
        if row[0] == VICTIM:
            which = rng.choices(range(len(cells)), k=rng.randint(1, 4))
            for column in which if rng.random() < 0.8 else range(len(cells)):
                cells[column] = nasty_bytes(rng, alphabet)
        changed.append(code(separator).join(cells))
    mark = b"\xff\xfe" if utf16 else b""
    return [mark + code(end).join(some) + code(end) for some in (lines, changed)]


KINDS = {
    "comma": (".csv", {}),
    "semicolon, all quoted, CRLF": (".csv", {"separator": b";", "always": True, "end": b"\r\n"}),
    "tab": (".tsv.gz", {"separator": b"\t"}),
    "zst": (".csv.zst", {"always": True}),
    "UTF-16": (".txt", {"separator": b"\t", "end": b"\r\n", "utf16": True}),
    "lines added": (".csv", {"alphabet": (*NASTY, *LINES)}),
    "carriage returns": (".txt", {"end": b"\r", "alphabet": tuple(p for p in NASTY if b"\r" not in p)}),
}
"""Each kind of text file: its ending, and how it is written."""


def source(folder: Path, name: str) -> FileSource:
    return FileSource({"messages": TablePlace(name)}, folder)


def write(path: Path, content: bytes) -> None:
    if path.suffix == ".gz":
        content = gzip.compress(content, 1)
    elif path.suffix == ".zst":
        content = zstandard.compress(content, 1)
    path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_no_bytes_of_one_patient_change_anothers_rows_in_a_text_file(tmp_path, name):
    ending, written = KINDS[name]
    for seed in range(TABLES or 12):
        rng = random.Random(f"{name} {seed}")
        before, after = text_file(rng, draw_rows(rng), **written)
        write(tmp_path / f"before{ending}", before)
        write(tmp_path / f"after{ending}", after)
        check_row_local(source(tmp_path, f"before{ending}"), source(tmp_path, f"after{ending}"))


EXTREME_NUMBERS = (1e308, -1e308, 1e-308, 2958465.99, 2958466.0, 1e10, -1.0, 60.0, 0.5, -0.0, 1e18, 45000.25)


def write_sheet(path: Path, rows, rng: random.Random | None) -> None:
    """Texts, and for the victim (with ``rng``) whatever a sheet may hold."""
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False, "strings_to_numbers": False}) as book:
        sheet = book.add_worksheet()
        shown = [
            None,
            book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
            book.add_format({"num_format": "[h]:mm"}),
        ]
        sheet.write_row(0, 0, COLUMNS)
        for line, row in enumerate(rows, start=1):
            for column, cell in enumerate(row):
                if row[0] != VICTIM or rng is None or rng.random() < 0.3:
                    sheet.write_string(line, column, cell)
                    continue
                kind = rng.randrange(5)
                if kind == 0:
                    sheet.write_number(line, column, rng.choice(EXTREME_NUMBERS), rng.choice(shown))
                elif kind == 1:
                    sheet.write_boolean(line, column, rng.random() < 0.5)
                elif kind == 2:
                    sheet.write_formula(line, column, "=1/0", None, rng.choice(["#DIV/0!", "#N/A", "x"]))
                elif kind == 3:
                    sheet.write_datetime(line, column, datetime(9999, 12, 31, 23, 59, 59), shown[1])
                else:
                    sheet.write_string(
                        line, column, "".join(rng.choices('"\t\x01é\u200b💉a1', k=rng.randint(0, 9)))
                    )


def test_no_cell_of_one_patient_changes_anothers_rows_in_a_spreadsheet(tmp_path):
    for seed in range(TABLES or 12):
        rng = random.Random(f"sheet {seed}")
        rows = draw_rows(rng)
        write_sheet(tmp_path / "before.xlsx", rows, None)
        write_sheet(tmp_path / "after.xlsx", rows, rng)
        check_row_local(source(tmp_path, "before.xlsx"), source(tmp_path, "after.xlsx"))


STRANGE_CELLS = (
    b't="e"><v>#GETTING_DATA</v>', b't="e"><v>Err:502</v>', b't="e"><f>1/0</f><v>#SPILL!</v>', b't="n"><v> 2 </v>',
    b't="n"><v>x</v>', b't="b"><v>7</v>', b't="s"><v>99999</v>', b't="q"><v>1</v>',
    b't="b"><f a="1"/><v>yes</v>', b"t='e'><v>#BUSY!</v>",
)  # fmt: skip
"""What a cell may be that Excel's own files or other programs' hold, and the reader of the sheet ends at."""


@pytest.mark.parametrize("cell", STRANGE_CELLS)
def test_no_strange_cell_of_one_patient_takes_away_the_sheet(tmp_path, cell):
    rows = draw_rows(random.Random(7))
    write_sheet(tmp_path / "before.xlsx", rows, None)
    spoilt = [line for line, row in enumerate(rows, start=2) if row[0] == VICTIM]
    with (
        zipfile.ZipFile(tmp_path / "before.xlsx") as old,
        zipfile.ZipFile(tmp_path / "after.xlsx", "w") as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                where = rf'(<c r="[BFG](?:{"|".join(map(str, spoilt))})" )t="s"><v>[0-9]+</v>'.encode()
                content, count = re.subn(where, lambda found: found[1] + cell, content)
                assert count >= 2
            new.writestr(name, content)
    with pytest.raises(python_calamine.CalamineError):
        python_calamine.load_workbook(tmp_path / "after.xlsx").get_sheet_by_index(0)
    check_row_local(source(tmp_path, "before.xlsx"), source(tmp_path, "after.xlsx"))
    assert token_of(VICTIM) in seen(source(tmp_path, "after.xlsx")), "an identifier that stands is read"


ZONES = (None, "UTC", "America/Los_Angeles")
TIMESTAMPS = [pl.Datetime(unit, zone) for unit in ("ms", "us", "ns") for zone in ZONES]
TYPES = {
    "id": [pl.String(), pl.Categorical(), pl.Binary()],
    "booked": [*TIMESTAMPS, pl.String()],
    "due": [pl.Date(), *TIMESTAMPS, pl.String()],
    "came": [pl.String(), pl.Categorical(), pl.Binary()],
    "age": [pl.Float32(), pl.Float64(), pl.Decimal(38, 1), pl.Int64(), pl.UInt64(), pl.Int128(), pl.String()],
    "reminded": [pl.Boolean(), pl.String(), pl.Categorical()],
    "channel": [pl.String(), pl.Categorical(), pl.Enum(["sms", "post", "fax"])],
    "note": [pl.List(pl.Int64()), pl.Struct({"a": pl.Float64()}), pl.Duration("us"), pl.Array(pl.Int8(), 2)],
    "ward": [pl.Binary(), pl.Int8(), pl.Null(), pl.Time()],
}
"""Types in which each column may come; the last two columns are read by nobody."""


def plain_column(name: str, dtype: pl.DataType, cells: list[str]) -> pl.Series:
    """The cells as this type; of columns that nobody reads, nothing."""
    texts = pl.Series(name, cells)
    if name in ("note", "ward"):
        return pl.Series(name, [None] * len(cells), dtype)
    if dtype == pl.Boolean:
        return texts == "yes"
    if dtype.is_temporal():
        texts = texts.str.slice(0, 10).str.to_date().cast(pl.Datetime("us"))
    elif dtype.is_numeric():
        texts = texts.cast(pl.Float64, strict=False)
    return texts.cast(dtype, strict=False)


def strange_column(name: str, dtype: pl.DataType, count: int, rng: random.Random) -> pl.Series:
    """Cells at the ends of what the type holds."""
    if dtype.is_temporal():
        bits = 31 if dtype == pl.Date else 62
        whole = [rng.choice([2**bits, -(2**bits), 0, None]) for _ in range(count)]
        whole = [number - 1 if number and number > 0 else number for number in whole]
        physical = pl.Series(name, whole, pl.Int32 if dtype == pl.Date else pl.Int64)
        return physical % 86_400_000_000_000 if dtype == pl.Time else physical.cast(dtype)
    if dtype.is_numeric():
        numbers = pl.Series(
            [
                rng.choice([1e308, -1e308, 1e-308, 9e18, -1.0, float("inf"), float("nan")])
                for _ in range(count)
            ]
        )
        return numbers.cast(dtype, strict=False).alias(name)
    if isinstance(dtype, pl.Binary):
        return pl.Series(name, [nasty_bytes(rng, NASTY) for _ in range(count)], dtype)
    if dtype == pl.Boolean or dtype == pl.Null:
        return pl.Series(name, [None] * count, dtype)
    if isinstance(dtype, pl.List):
        return pl.Series(name, [rng.choice([[], [2**62], None]) for _ in range(count)], dtype)
    if isinstance(dtype, pl.Array):
        return pl.Series(name, [[1, -128]] * count, dtype)
    if isinstance(dtype, pl.Struct):
        return pl.Series(name, [{"a": rng.choice([float("inf"), None])} for _ in range(count)], dtype)
    texts = [nasty_bytes(rng, NASTY).decode(errors="replace") for _ in range(count)]
    return pl.Series(name, texts, pl.String).cast(dtype, strict=False)


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_no_value_of_one_patient_changes_anothers_rows_in_typed_columns(tmp_path, ending):
    for seed in range(TABLES or 12):
        rng = random.Random(f"typed {seed}")
        rows = draw_rows(rng)
        before, after = [], []
        victim = pl.Series([row[0] == VICTIM for row in rows])
        for place, name in enumerate(COLUMNS):
            dtype = rng.choice(TYPES[name])
            plain = plain_column(name, dtype, [row[place] for row in rows])
            keep = ~victim | pl.Series([rng.random() < 0.3 for _ in rows])
            before.append(plain)
            after.append(plain.zip_with(keep, strange_column(name, dtype, len(rows), rng)))
        for name, columns in (("before", before), ("after", after)):
            frame = pl.DataFrame(columns)
            path = tmp_path / f"{name}{ending}"
            frame.write_parquet(path) if ending == ".parquet" else frame.write_ipc(path)
        check_row_local(source(tmp_path, f"before{ending}"), source(tmp_path, f"after{ending}"))


def write_bytes(path: Path, frame: pl.DataFrame, raw: dict[str, list[bytes]]) -> None:
    """A file as libraries write it that take any bytes for text: these columns hold these bytes."""
    table = frame.to_arrow()
    for name, cells in raw.items():
        place = table.column_names.index(name)
        text = pyarrow.array(cells, pyarrow.binary())
        if isinstance(frame.schema[name], pl.Categorical):
            words = text.dictionary_encode()
            kept = words.dictionary.view(pyarrow.string())
            column = pyarrow.DictionaryArray.from_arrays(words.indices, kept)
        else:
            column = text.view(pyarrow.string())
        table = table.set_column(place, name, column)
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
        return
    with ipc.new_file(path, table.schema) as file:
        file.write_table(table)


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_no_bytes_in_one_patients_text_change_anothers_rows_in_typed_columns(tmp_path, ending):
    for seed in range(TABLES or 12):
        rng = random.Random(f"bytes {seed}")
        rows = draw_rows(rng)
        types = {name: rng.choice([one for one in TYPES[name] if one != pl.Int128]) for name in COLUMNS}
        types["id" if seed % 2 else "channel"] = pl.String()
        plain = [plain_column(n, types[n], [row[at] for row in rows]) for at, n in enumerate(COLUMNS)]
        frame = pl.DataFrame(plain)
        frame.write_parquet(tmp_path / f"before{ending}") if ending == ".parquet" else frame.write_ipc(
            tmp_path / f"before{ending}"
        )
        raw = {}
        for name, dtype in types.items():
            if dtype in (pl.String, pl.Categorical) and (rng.random() < 0.7 or name in ("id", "channel")):
                spoilt = [rng.choice((b"\xff", b"\xe9\x80", nasty_bytes(rng, NASTY))) for _ in rows]
                cells = frame[name].cast(pl.String).fill_null("").to_list()
                raw[name] = [
                    bad if row[0] == VICTIM else cell.encode()
                    for row, bad, cell in zip(rows, spoilt, cells, strict=True)
                ]
        write_bytes(tmp_path / f"after{ending}", frame, raw)
        check_row_local(source(tmp_path, f"before{ending}"), source(tmp_path, f"after{ending}"))


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_polars_alone_breaks_the_property_by_one_byte(tmp_path, monkeypatch, ending):
    rows = draw_rows(random.Random(7))
    frame = pl.DataFrame([list(cells) for cells in zip(*rows, strict=True)], schema=list(COLUMNS))
    plain = [row[COLUMNS.index("channel")].encode() for row in rows]
    spoilt = [b"\xff" if row[0] == VICTIM else cell for row, cell in zip(rows, plain, strict=True)]
    write_bytes(tmp_path / f"before{ending}", frame, {"channel": plain})
    write_bytes(tmp_path / f"after{ending}", frame, {"channel": spoilt})
    before, after = source(tmp_path, f"before{ending}"), source(tmp_path, f"after{ending}")
    check_row_local(before, after)
    monkeypatch.setattr("wardround.client.connectors.typed._is_utf8", lambda *_: True)
    with pytest.raises((pl.exceptions.PolarsError, AssertionError)):
        check_row_local(before, after)


def scan_as_before(path, columns, form=None, cautious=False):
    """The reader of 0.1.0: a projection over polars' own."""
    return pl.scan_csv(path, infer_schema=False).select(
        pl.col(name).alias(own) for own, name in columns.items()
    )


@pytest.mark.parametrize("cell", [b'"', b'splint 5" left', b"caf\xe9", b'x"\nfoo,"y'])
def test_the_old_reader_breaks_the_property_and_this_one_does_not(tmp_path, monkeypatch, cell):
    rows = draw_rows(random.Random(7))
    lines = [",".join(COLUMNS).encode(), *(",".join(row).encode() for row in rows if '"' not in row[1])]
    (tmp_path / "before.csv").write_bytes(b"\n".join(lines) + b"\n")
    own = VICTIM.encode() + b"," + cell + b",2024-03-01,2024-03-02,1,40,yes,sms,north"
    lines.insert(2, own)
    (tmp_path / "after.csv").write_bytes(b"\n".join(lines) + b"\n")
    before, after = source(tmp_path, "before.csv"), source(tmp_path, "after.csv")
    check_row_local(before, after)
    monkeypatch.setattr("wardround.client.connectors.files.scan_file", scan_as_before)
    with pytest.raises((AssertionError, pl.exceptions.PolarsError)):
        check_row_local(before, after)
