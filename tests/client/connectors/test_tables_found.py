"""Tables as hospitals have them: each read right, whatever wrote it, and what is set aside counted."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter
import zstandard

from tests.builders import ROOT, clinics_contract
from wardround.client.connectors.files import FileSource, columns_of, scan_file
from wardround.client.connectors.line_format import LONGEST_LINE
from wardround.client.connectors.source import DAMAGED, TablePlace, read_tables
from wardround.client.connectors.table_format import TableFormat, describe_format
from wardround.client.gate.admit import admit
from wardround.conf.settings import DataSettings
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import TableError
from wardround.simulations.federation.own_table import read_own_tables

CASES = ROOT.parent / "shared" / "cases" / "tables"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not there")
NOW = datetime(2024, 12, 1, tzinfo=UTC)
ANY_SHEET = TableFormat()
VISITS = contract_from_mapping(
    clinics_contract(
        hospital="clinic",
        features={
            "channel": {"kind": "categorical", "column": "channel", "vocabulary": ["sms", "email", "phone"]}
        },
    )
)
PLAIN = {column: column for column in ("id", "note", "came")}
ROWS = [("1", "left", "yes"), ("2", "Müller, b", "no"), ("3", None, "yes")]


def rows_of(path: Path, form: TableFormat = TableFormat(), columns=PLAIN) -> list[tuple]:  # noqa: B008
    return scan_file(path, columns, form).collect(engine="streaming").rows()


def whole(rows=ROWS) -> list[tuple]:
    return [(*row, None) for row in rows]


NOTHING = (None, None, None, None)
COMMA = 'id,note,came\n1,left,yes\n2,"Müller, b",no\n3,,yes\n'
SEMICOLON = "id;note;came\n1;left;yes\n2;Müller, b;no\n3;;yes\n"
TAB = SEMICOLON.replace(";", "\t")
FILES = {
    "comma": ("t.csv", COMMA.encode()),
    "without a last line end": ("t.csv", COMMA.encode()[:-1]),
    "semicolon": ("t.csv", SEMICOLON.encode()),
    "tab": ("t.tsv", TAB.encode()),
    "bar": ("t.txt", SEMICOLON.replace(";", "|").encode()),
    "UTF-8 with a mark": ("t.csv", COMMA.encode("utf-8-sig")),
    "Excel's Unicode text": ("t.txt", TAB.replace("\n", "\r\n").encode("utf-16")),
    "UTF-16, big end first": ("t.txt", b"\xfe\xff" + TAB.encode("utf-16-be")),
    "UTF-16 without a mark": ("t.txt", TAB.encode("utf-16-le")),
    "Latin-1, seen line by line": ("t.csv", COMMA.encode("latin-1")),
    "gzip": ("t.csv.gz", gzip.compress(COMMA.encode())),
    "zstandard": ("t.csv.zst", zstandard.compress(COMMA.encode())),
    "all quoted, CRLF": (
        "t.csv",
        b'"id","note","came"\r\n"1","left","yes"\r\n"2","M\xc3\xbcller, b","no"\r\n"3","","yes"\r\n',
    ),
    "Excel's separator line": ("t.csv", ("sep=;\r\n" + SEMICOLON).encode()),
    "carriage returns": ("t.csv", COMMA.replace("\n", "\r").encode()),
    "separators at the ends of lines": ("t.csv", SEMICOLON.replace("\n", ";;\n").encode()),
    "blank lines before the names": ("t.csv", ("\n\n" + COMMA).encode()),
    "a name over two lines": (
        "t.csv",
        COMMA.replace("note,", 'note,"', 1).replace("came", 'ca\nme"', 1).encode(),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_each_kind_of_text_file_gives_the_same_cells(tmp_path, name):
    file, content = FILES[name]
    (tmp_path / file).write_bytes(content)
    columns = {**PLAIN, "came": "ca me"} if name == "a name over two lines" else PLAIN
    found = rows_of(tmp_path / file, columns=columns)
    assert [tuple(cell or None for cell in row) for row in found] == whole()


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ('4,splint 5" left,yes', ("4", 'splint 5" left', "yes", None)),
        ('4,5" or 6",yes', ("4", '5" or 6"', "yes", None)),
        ('4,"a ""b""",yes', ("4", 'a "b"', "yes", None)),
        ("4,x,yes,,,", ("4", "x", "yes", None)),
        ("4,\0x,yes", ("4", "\0x", "yes", None)),
        ("", NOTHING),
        (",,", NOTHING),
        ("  ", NOTHING),
        ("\x1a", NOTHING),
        ("id,note,came", NOTHING),
        ('4,"open,yes', (None, None, None, "4")),
        ('4,"a"b,yes', (None, None, None, "4")),
        ("4,x", (None, None, None, "4")),
        ("4,x,y,z", (None, None, None, "4\nx")),
        ('"4,x",y', (None, None, None, "4")),
        ("4," + "x" * LONGEST_LINE + ",yes", (None, None, None, "4")),
        ("4," + "x" * 6 * LONGEST_LINE + ",yes", (None, None, None, "4")),
    ],
)
def test_a_line_is_read_or_damaged_by_itself(tmp_path, line, row):
    (tmp_path / "t.csv").write_text(COMMA + line + "\n5,ok,no\n", encoding="utf-8", newline="")
    assert rows_of(tmp_path / "t.csv") == [*whole(), row, ("5", "ok", "no", None)]


def test_a_row_of_consents_that_a_separator_moved_is_damaged(tmp_path):
    """In other tables an empty field behind the last name is an export's habit; here a withdrawal would be lost."""
    (tmp_path / "t.csv").write_text("id,note,came\n1,left,yes\nDoe,2,\nDoe,3,left,\n4,left,yes,\n")
    source = FileSource({table: TablePlace("t.csv") for table in ("consents", "messages")}, tmp_path)
    rows = {table: source.read(table, ("id", "came")).collect().rows() for table in source.places}
    assert rows["consents"][2:] == [(None, None, "Doe\n3"), (None, None, "4\nleft")]
    assert rows["messages"][2:] == [("Doe", "left", None), ("4", "yes", None)]
    (tmp_path / "t.csv").write_text("id,note,came,\n1,left,yes,\n2,left,no\n")
    assert source.read("consents", ("id", "came")).collect().rows() == [("1", "yes", None), ("2", "no", None)]


def test_a_file_without_names_is_read_by_position(tmp_path):
    (tmp_path / "t.csv").write_text("1,left,yes\n2,x\n3,y,no,z\n", encoding="utf-8")
    form, columns = TableFormat(header=False), {"id": "1", "came": "3"}
    assert rows_of(tmp_path / "t.csv", form, columns) == [
        ("1", "yes", None),
        (None, None, "2"),
        ("3", "no", None),
    ]
    with pytest.raises(TableError, match=r"column came is no number: name each column .* by its position"):
        rows_of(tmp_path / "t.csv", form, {"id": "1", "came": "came"})


def test_all_missing_columns_are_named_at_once_and_no_cell_ever(tmp_path):
    (tmp_path / "t.csv").write_text("id,note,cane,note\n", encoding="utf-8")
    with pytest.raises(TableError) as caught:
        rows_of(tmp_path / "t.csv", columns={"id": "id", "came": "came", "age": "age", "note": "note"})
    said = str(caught.value)
    assert "columns came (there is cane), age are missing" in said
    assert "column note is there 2 times" in said
    (tmp_path / "t.csv").write_text("PATIENT-7,MARK\rPATIENT-8,MARK\r", encoding="utf-8")
    with pytest.raises(TableError) as caught:
        rows_of(tmp_path / "t.csv")
    assert "PATIENT" not in str(caught.value)


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e"])
def test_lines_that_end_as_nobody_reads_them_show_no_cell(tmp_path, end):
    lines = ["id,note,cane", "PATIENT-7,MARK,yes", "PATIENT-8,MARK,no", ""]
    (tmp_path / "t.csv").write_text(end.join(lines), encoding="utf-8")
    with pytest.raises(TableError, match="export it with line feeds") as caught:
        rows_of(tmp_path / "t.csv")
    assert "MARK" not in str(caught.value)
    assert "PATIENT" not in str(caught.value)
    with pytest.raises(TableError, match="export it with line feeds"):
        columns_of(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text(f'id,"no{end}te",came\n1,left,yes\n', encoding="utf-8")
    assert len(columns_of(tmp_path / "t.csv")) == 3, "within quotes it ends nothing"


@pytest.mark.parametrize("ending", [".xlsx", ".xlsm"])
def test_a_sheet_is_read_cell_by_cell(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    with xlsxwriter.Workbook(path) as book:
        other, sheet = book.add_worksheet("visits"), book.add_worksheet("notes")
        day = book.add_format({"num_format": "dd/mm/yyyy hh:mm"})
        sheet.write_row(0, 0, ["other"])
        other.write_row(1, 0, ["id", "note", "came"])
        other.write_row(2, 0, [1001.0, "left", True])
        other.write_row(3, 0, ["1002", 3.5, "no"])
        other.write_datetime(4, 1, datetime(2024, 3, 1, 9, 12), day)
        other.write_row(6, 0, ["id", "note", "came"])
        other.write_row(7, 0, [1e308, -0.5])
        other.write_number(8, 1, -1e308, day)  # where the library panics
        other.write_string(8, 0, "1003")
        other.merge_range(9, 0, 9, 2, "merged")
    assert rows_of(path) == [
        ("1001", "left", "true", None),
        ("1002", "3.5", "no", None),
        (None, "2024-03-01T09:12:00", None, None),
        NOTHING,
        NOTHING,
        ("1e+308", "-0.5", None, None),
        (None, None, None, "1003"),
        ("merged", None, None, None),
    ]
    assert list(columns_of(path, TableFormat(sheet="notes"))) == ["other"]
    assert FileSource({"messages": TablePlace(path.name)}, tmp_path).format("messages").sheet == "visits"
    with pytest.raises(TableError, match="no sheet bookings; there is visits, notes"):
        rows_of(path, TableFormat(sheet="bookings"))


@pytest.mark.parametrize(
    "cell",
    [
        ("XFD1048576", "row 1,048,576 and column 16,384"),
        ("BZ1048576", "row 1,048,576 and column 78"),
        ("AAA999999", "row 999,999 and column 703"),
    ],
)
def test_a_stray_cell_far_away_is_refused_and_ends_no_process(tmp_path, cell):
    path = tmp_path / "t.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("visits")
        sheet.write_row(0, 0, ["id", "note", "came"])
        sheet.write_row(4000, 25, [" "])
        sheet.write_string(cell[0], " ")
    with pytest.raises(TableError, match=rf"reaches to {cell[1]}, more than .*; delete the rows and columns"):
        rows_of(path)


@pytest.mark.parametrize("ending", [".xls", ".ods", ".XLS"])
def test_consents_are_not_read_from_files_whose_damaged_rows_name_nobody(tmp_path, ending):
    (tmp_path / f"t{ending}").write_bytes(b"whatever")
    source = FileSource({"consents": TablePlace(f"t{ending}")}, tmp_path)
    with pytest.raises(
        TableError, match=r"^consents: t\..*whose withdrawal it is; save it as \.xlsx or \.csv$"
    ):
        source.read("consents", ("id",))


def test_withdrawals_on_another_sheet_are_not_passed_over(tmp_path):
    rows = [("P1", "2024-03-01"), ("P2", "2024-03-02")]

    def read(table, *sheets, form=ANY_SHEET, hide=False):
        with xlsxwriter.Workbook(tmp_path / "t.xlsx") as book:
            for name, head, row in sheets:
                sheet = book.add_worksheet(name)
                sheet.write_row(1, 0, head)
                sheet.write_row(2, 0, row)
            if hide:
                book.worksheets()[1].activate()
                book.worksheets()[0].hide()
            book.add_chartsheet("drawn")
            book.add_worksheet("empty")
        source = FileSource({table: TablePlace("t.xlsx", format=form)}, tmp_path)
        return source.read(table, ("id", "withdrawn_at")).collect()["id"].to_list()

    head = ("id", "withdrawn_at")
    both = [("one", head, rows[0]), ("two", ("withdrawn_at", "note", "id\u00a0"), ("2024-03-02", "", "P2"))]
    for hide in (False, True):
        for table in ("consents", "preferences", "vetoes", "authorisations"):
            with pytest.raises(TableError, match="sheet one would be read, but two has the same"):
                read(table, *both, hide=hide)
    assert read("consents", *both, form=TableFormat(sheet="two")) == ["P2"]
    assert read("messages", *both) == ["P1"]
    assert read("consents", both[0], ("two", ("id", "note"), rows[1])) == ["P1"]


def test_a_file_that_was_not_written_to_its_end_does_not_pass_for_whole(tmp_path):
    def damaged(table, end):
        (tmp_path / "t.csv").write_bytes(b"id,withdrawn_at\nP1,2024-03-01\n" + end)
        source = FileSource({table: TablePlace("t.csv")}, tmp_path)
        return source.read(table, ("id", "withdrawn_at")).collect()[DAMAGED].to_list()

    for end in (b"\0" * 4096, b"\0" * 4096 + b"\n", b"\0" * 2**21):
        assert [one is not None for one in damaged("consents", end)] == [False, True]
    assert damaged("consents", b"\0\x1a") == [None, None], "an old program's end of a file"
    assert damaged("messages", b"\0" * 4096) == [None, None]


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".feather"])
def test_types_that_no_contract_reads_are_named_and_bytes_are_text(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    frame = pl.DataFrame(
        {"id": [b"1", b"\xe9"], "note": [[1], []], "came": pl.Series([1, 2], dtype=pl.Duration)}
    )
    frame.write_parquet(path) if ending == ".parquet" else frame.write_ipc(path)
    with pytest.raises(TableError, match=r"column note holds List: write it .*; column came holds Duration"):
        rows_of(path)
    # As in a text file: a name that some other table has in CSV must become the same text.
    assert rows_of(path, columns={"id": "id"}) == [("1",), ("é",)]


def test_what_the_mapping_says_is_told_without_a_look_at_the_file(tmp_path, monkeypatch):
    """Before a charge the mapping alone is asked: no file's state may have a part in that."""
    source = FileSource({"messages": TablePlace("t.csv")}, tmp_path, "Europe/Madrid")

    def looked_at(*_):
        raise AssertionError("a file was looked at")

    monkeypatch.setattr(Path, "open", looked_at)
    monkeypatch.setattr(Path, "is_file", looked_at)
    assert source.has("messages")
    assert source.place("messages").format.timezone == "Europe/Madrid"
    with pytest.raises(AssertionError, match="looked at"):
        source.format("messages")


def test_what_was_sniffed_completes_the_format(tmp_path):
    (tmp_path / "t.csv").write_bytes(("\ufeff" + SEMICOLON).encode())
    source = FileSource({"messages": TablePlace("t.csv")}, tmp_path, "Europe/Madrid")
    found = source.format("messages")
    assert (found.separator, found.encoding, found.timezone) == (";", "utf-8", "Europe/Madrid")
    said = TablePlace("t.csv", format=TableFormat(separator="|", encoding="latin-1"))
    assert FileSource({"messages": said}, tmp_path).format("messages").separator == "|"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (
            TableFormat(separator=";", encoding="utf-8"),
            "separator semicolon, UTF-8, first line names the columns, dates ISO 8601",
        ),
        (
            TableFormat(separator="\t", encoding="utf-16", header=False),
            "separator tab, UTF-16, no line of names, dates ISO 8601",
        ),
        (
            TableFormat(sheet="visits", decimal=","),
            "sheet visits, first line names the columns, decimal comma, dates ISO 8601",
        ),
        (TableFormat(dates="DD/MM/YYYY", timezone="UTC"), "dates DD/MM/YYYY, times without a zone in UTC"),
        (
            TableFormat(quote="", thousands=" ", true=("Sí", "S"), false=("No",), missing=("-",)),
            "quote none, thousands space, dates ISO 8601, yes Sí or S, no No, missing -",
        ),
    ],
)
def test_a_format_is_said_in_a_line(form, said):
    assert describe_format(form) == said


def test_damaged_rows_are_counted(tmp_path):
    (tmp_path / "t.csv").write_text(
        "person,clinic,sent,visit_day,channel,attended\n,,,,,\n7,x\n8\n", encoding="utf-8"
    )
    tables = read_tables(FileSource({"messages": TablePlace("t.csv")}, tmp_path), VISITS)
    rows = tables.messages.lazy()
    assert rows.select(pl.len()).collect().item() == 3
    assert rows.select(pl.col(DAMAGED)).collect(engine="streaming")[DAMAGED].to_list() == [None, "7", "8"]
    assert admit(tables, VISITS, b"key", NOW).counts["damaged row"] == 2


def test_a_file_cut_off_is_one_line(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(COMMA.encode() * 500_000)[:-2000])
    with pytest.raises(TableError, match=r"t\.csv\.gz cannot be read \(EOFError\); if it was cut off"):
        rows_of(tmp_path / "t.csv.gz")


def admitted(folder: Path, messages: str, consents: str | None = None):
    places = {"messages": TablePlace(messages)} | ({"consents": TablePlace(consents)} if consents else {})
    return admit(read_tables(FileSource(places, folder), VISITS), VISITS, b"key", NOW).counts


@needs_cases
def test_the_shared_cases_are_read_right():
    clean = admitted(CASES, "clean_messages.csv")
    passed = [clean[f"{part} events"] for part in ("training", "heldout", "undecided")]
    for name in ("stray_quotes_messages.csv", "minutes_z.csv"):
        counts = admitted(CASES, name)
        assert counts["damaged row"] == counts["no identifier"] == 0
        assert [counts[f"{part} events"] for part in ("training", "heldout", "undecided")] == passed
    tail = admitted(CASES, "empty_rows.csv")
    assert (tail["empty row"], tail["no identifier"]) == (50, 0)
    heard = admitted(CASES, "clean_messages.csv", "clean_consents.csv")["no consent for the purpose"]
    assert heard > 0
    assert (
        admitted(CASES, "stray_quotes_messages.csv", "consents_comment.csv")["no consent for the purpose"]
        == heard
    )


@needs_cases
def test_an_empty_tail_is_no_hospital():
    dataset = read_own_tables(DataSettings(name="table", path=CASES / "empty_rows.csv"), VISITS)
    assert "not named" not in dataset.hospitals
    assert dataset.set_aside == {"empty row": 50}
