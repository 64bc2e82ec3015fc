"""Rows that go over several lines, where a mapping says so: what is joined, what damage takes, what is heard."""

import csv
import io
import os
import random
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from tests.builders import small_contract
from tests.client.connectors.row_local import COLUMNS, VICTIM, check_row_local, draw_rows
from wardround.client.connectors.delimited import scan_lines
from wardround.client.connectors.files import FileSource
from wardround.client.connectors.line_format import line_format_of
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.source import TablePlace, read_tables
from wardround.client.connectors.table_format import IN_CELLS, TableFormat, describe_format
from wardround.client.gate.admit import admit
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError

TABLES = int(os.environ.get("ROW_LOCAL_TABLES", "0"))
FORM = TableFormat(newlines=IN_CELLS)
NASTY = (
    "\n",
    "\r\n",
    '"',
    '""',
    ",",
    "\n\n",
    '"\n',
    "\n,",
    "a",
    "ok",
    " ",
    "1",
    ",,,\n",
    "é",
    "'",
    "victim",
    '\n"',
)


def rows_of(path, text, *names, form=FORM):
    """The file's rows: cells under these names, and what stands in ``DAMAGED``."""
    path.write_bytes(text.encode())
    written = line_format_of(path, form)
    places = {name: written.names.index(name) for name in names}
    return scan_lines(path, written, places).collect().rows()


def source(folder, name):
    return FileSource({"messages": TablePlace(name, format=FORM)}, folder)


def written(rows, **how):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", **how).writerows(rows)
    return out.getvalue()


def nasty(rng):
    return "".join(rng.choices(NASTY, k=rng.randint(0, 5)))


def test_a_quoted_cell_may_go_over_several_lines(tmp_path):
    text = 'id,note,day\n1,"first\r\n\nthird, ""said""\n",x\n2,plain,y\n3,"a\nb","c\nd"\n'
    assert rows_of(tmp_path / "a.csv", text, "id", "note", "day") == [
        ("1", 'first  third, "said" ', "x", None),
        ("2", "plain", "y", None),
        ("3", "a b", "c d", None),
    ]


def test_without_the_setting_a_line_feed_ends_a_row(tmp_path):
    text = 'id,note\n1,"a\nb"\n2,c\n'
    found = rows_of(tmp_path / "a.csv", text, "id", "note", form=TableFormat())
    assert [row[-1] is not None for row in found] == [True, True, False]


def test_random_tables_are_read_as_the_standard_library_reads_them(tmp_path):
    """A line feed is read as a space. The cells stand far right and end in a point: none of their lines is a row."""
    for seed in range(TABLES or 15):
        rng = random.Random(seed)
        rows = [
            [f"p{number}", *"23456789abc", nasty(rng) + ".", nasty(rng) + "."]
            for number in range(rng.randint(1, 8))
        ]
        text = written([["id", *"23456789abc", "note", "more"], *rows])
        found = rows_of(tmp_path / "a.csv", text, "id", "note", "more")
        meant = [[cell.replace("\r\n", "\n").replace("\n", " ") for cell in (r[0], *r[-2:])] for r in rows]
        assert [[cell or "" for cell in row[:-1]] for row in found] == meant, text
        assert {row[-1] for row in found} == {None}


def test_without_a_broken_quote_no_cell_changes_another_patients_rows(tmp_path):
    """Also where the others' rows go over several lines themselves."""
    for seed in range(TABLES or 15):
        rng = random.Random(f"sound {seed}")
        before = [[row[0], nasty(rng), *row[2:]] for row in draw_rows(rng)]
        after = [[row[0], *(nasty(rng) for _ in row[1:])] if row[0] == VICTIM else row for row in before]
        for name, rows in (("before.csv", before), ("after.csv", after)):
            (tmp_path / name).write_text(written([COLUMNS, *rows]), newline="")
        check_row_local(source(tmp_path, "before.csv"), source(tmp_path, "after.csv"))


def test_a_broken_quote_takes_no_row_that_is_one_line(tmp_path):
    """More than is promised: bytes of any kind in the victim's rows; the others' rows hold no line feed."""
    broken = (b'"', b'""', b",", b"\n", b'\n"', b'",', b',"', b"a", b"\xff", b'"\n', b"\0", b"victim", b"7")
    for seed in range(TABLES or 20):
        rng = random.Random(f"broken {seed}")
        rows = draw_rows(rng)
        lines = [b",".join(_quoted(cell) for cell in row) for row in (COLUMNS, *rows)]
        changed = [
            b",".join([b"victim", *(b"".join(rng.choices(broken, k=rng.randint(0, 4))) for _ in row[1:])])
            if row[0] == VICTIM
            else line
            for row, line in zip((COLUMNS, *rows), lines, strict=True)
        ]
        (tmp_path / "before.csv").write_bytes(b"\n".join(lines) + b"\n")
        (tmp_path / "after.csv").write_bytes(b"\n".join(changed) + b"\n")
        check_row_local(source(tmp_path, "before.csv"), source(tmp_path, "after.csv"))


def _quoted(cell):
    plain = cell.encode()
    return b'"' + plain.replace(b'"', b'""') + b'"' if b"," in plain or plain[:1] == b'"' else plain


def test_a_broken_quote_is_counted_and_takes_its_own_line_alone(tmp_path):
    text = 'id,day,note\n1,a,b\n2,c,"open\n3,d,e\n4,f,"x"\n5,g,"h\ni"\n'
    found = rows_of(tmp_path / "a.csv", text, "id")
    assert found == [("1", None), (None, "2"), ("3", None), ("4", None), ("5", None)]


def test_a_broken_quote_may_take_the_next_row_that_is_broken_too(tmp_path):
    """What is given up, as docs/tables.md says; in consents not even that."""
    broken = 'id,note,day\n1,"open,x\n2,shut",y\n3,a,b\n'
    assert rows_of(tmp_path / "a.csv", broken, "id") == [("1", None), ("3", None)]
    cautious = replace(line_format_of(tmp_path / "a.csv", FORM), cautious=True)
    found = scan_lines(tmp_path / "a.csv", cautious, {"id": 0}).collect().rows()
    assert found == [(None, "1"), ("2", None), ("3", None)]


def test_in_consents_a_line_that_may_name_a_patient_is_none_of_a_cell(tmp_path):
    text = 'id,note,day\n1,"asked\nagain",x\n2,"asked,\nmother, too",x\n'
    assert rows_of(tmp_path / "a.csv", text, "id") == [("1", None), ("2", None)]
    cautious = replace(line_format_of(tmp_path / "a.csv", FORM), cautious=True)
    found = scan_lines(tmp_path / "a.csv", cautious, {"id": 0}).collect().rows()
    assert found[0] == ("1", None)
    assert found[1] == (None, "2")


def test_random_bytes_raise_nothing_and_where_a_block_ends_changes_nothing(tmp_path, monkeypatch):
    pieces = [b'"', b'""', b",", b"\n", b"\r\n", b"a", b"\xff", b"\0", b"12", b'\n"', b'",', b"id,note,day\n"]
    for seed in range(TABLES or 15):
        rng = random.Random(f"bytes {seed}")
        content = b"id,note,day\n" + b"".join(rng.choices(pieces, k=rng.randint(0, 200)))
        (tmp_path / "a.csv").write_bytes(content)
        form = line_format_of(tmp_path / "a.csv", FORM)
        seen = []
        for size in (2**22, 64, 7):
            monkeypatch.setattr("wardround.client.connectors.lines._BLOCK", size)
            seen.append(scan_lines(tmp_path / "a.csv", form, {"id": 0, "note": 1}).collect().rows())
        assert seen[0] == seen[1] == seen[2], content


def test_a_quote_that_never_closes_is_one_row_and_takes_no_time(tmp_path, monkeypatch):
    for module in ("rows_of_lines", "lines", "vetting"):
        monkeypatch.setattr(f"wardround.client.connectors.{module}.LONGEST_LINE", 1000)
    monkeypatch.setattr("wardround.client.connectors.lines._BLOCK", 4096)
    rows = "".join(f"{number},plain,x\n" for number in range(2000))
    found = rows_of(tmp_path / "a.csv", f'id,note,day\n0,"open,x\n{rows}', "id")
    assert len(found) == 2001
    assert found[0] == (None, "0")
    assert all(row[-1] is None for row in found[1:])


CONTRACT = contract_from_mapping(small_contract(consent={"required": False, "basis": "public"}))
NOW = datetime(2024, 6, 1, tzinfo=UTC)
COUNT = 60


@pytest.mark.parametrize("broken", ['"note, torn', 'note "torn', '"', '"torn"x', '","', '"\n'])
@pytest.mark.parametrize("every", [1, 2, 7])
def test_who_opts_out_is_heard_whatever_quotes_are_broken(tmp_path, broken, every):
    """Sixty opt-outs, some with a broken quote in a column that nobody reads: all sixty are out."""
    others = ("fine", 'shut"', '"over\nlines"')
    check_heard(tmp_path, [broken if n % every == 0 else others[n % 3] for n in range(COUNT)])


def test_who_opts_out_is_heard_whatever_stands_in_the_notes(tmp_path):
    pieces = ('"', '""', ",", "\n", "a", "P1", "Q2,", '",', ',"', '"\n', "x,y", '"a\nb"', " ")
    for seed in range(TABLES or 15):
        rng = random.Random(f"heard {seed}")
        check_heard(tmp_path, ["".join(rng.choices(pieces, k=rng.randint(0, 4))) for _ in range(COUNT)])


def check_heard(tmp_path, notes):
    """Of patients P0 to P59, who opt out with these notes in the file as they stand, nobody is left. (Qs may be.)"""
    (tmp_path / "m.csv").write_text(
        "patient,opened,age\n" + "".join(f"P{n},1,40\nQ{n},1,40\n" for n in range(COUNT))
    )
    head = "patient,note,kind,value,granted_at,withdrawn_at,expires_at\n"
    lines = [f"P{n},{note},purpose,engagement,,2024-01-01,2030-01-01\n" for n, note in enumerate(notes)]
    (tmp_path / "c.csv").write_text(head + "".join(lines))
    mapping = {
        "messages": {"path": "m.csv"},
        "consents": {"path": "c.csv", "format": {"newlines": "in_cells"}},
    }
    tables = read_tables(source_from_mapping(mapping, tmp_path), CONTRACT)
    admitted = admit(tables, CONTRACT, b"key", NOW)
    rows = pl.concat([admitted.training, admitted.heldout])["row"]
    left = tables.messages.collect()["patient"].gather(rows)
    assert not left.str.starts_with("P").any(), lines
    assert len(left) > COUNT / 2


def test_the_setting_is_shown_and_needs_a_quote(tmp_path):
    assert "a broken quote may take rows after it" in describe_format(replace(FORM, separator=","))
    for quote, message in (("", "needs a quote"), ("'", None)):
        plain = {"messages": {"path": "m.csv", "format": {"newlines": "in_cells", "quote": quote}}}
        if message is None:
            assert source_from_mapping(plain, tmp_path).format("messages").newlines == IN_CELLS
        else:
            with pytest.raises(ConfigurationError, match=message):
                source_from_mapping(plain, tmp_path)
