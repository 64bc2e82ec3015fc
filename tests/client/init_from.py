"""A home begun by ``init --from``, for tests of each kind of source."""

import yaml

from tests.client.small_hospital import small_terms
from wardround.client.connectors.source import read_tables
from wardround.client.home.home import load_home
from wardround.client.home.patients_known import patient_clauses
from wardround.client.main import main
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.protocol.wire.signing import new_key

CONTRACT = small_terms().contract
MESSAGES = "pat_no,Decided,due_on,opened,channel,topic,note"
CONSENTS = "pat_no,Kind,Value,consented_on,revoked_at,valid_until"
ROW = ",".join(["MARK"] * 7)
RENAMED = {
    "patient": "pat_no",
    "kind": "Kind",
    "value": "Value",
    "granted_at": "consented_on",
    "withdrawn_at": "revoked_at",
    "expires_at": "valid_until",
}
COLUMNS_BY_ODBC = (
    "create table visits (pat_no int, Decided datetime, due_on date, opened int, channel varchar(9), topic varchar(9));"
    "create table people (pat_no int, age int);"
    "create table consents (pat_no int, Kind varchar(9), Value varchar(9), consented_on date, revoked_at date, "
    "valid_until date); insert into visits (pat_no, topic) values (7, 'MARK'); insert into people values (7, 40);"
    "insert into consents (pat_no, Kind) values (7, 'MARK');"
)
"""Tables whose names and types tell a mapping, each with one row."""


def init_from(tmp_path, capsys, *source):
    """Run it with terms; give exit code, what was said, and the settings (None where nothing is there).

    Whatever was said or written holds no cell: they hold MARK.
    """
    save_terms(sign_terms(small_terms(), new_key()), tmp_path / "tea.terms")
    given = ["--from", *map(str, source), "--terms", str(tmp_path / "tea.terms")]
    code = main(["init", "--home", str(tmp_path / "north"), *given])
    output = capsys.readouterr()
    path = tmp_path / "north/hospital.yaml"
    text = path.read_text() if path.exists() else ""
    assert "MARK" not in output.out + output.err + text
    return code, " ".join((output.out + output.err).split()), yaml.safe_load(text) if text else None


def check_reads(tmp_path, rows):
    """The home as it was written gives the contract every column of all three tables."""
    home = load_home(tmp_path / "north")
    assert all(clause.holds for clause in patient_clauses(home.source, CONTRACT))
    tables = read_tables(home.source, CONTRACT)
    for table in ("messages", "patients", "consents"):
        frame = tables.part(table, CONTRACT).collect()
        assert set(CONTRACT.columns(table)) <= set(frame.columns)
        assert len(frame) == rows
    return home


def check_drafts(tmp_path, capsys, kinds):
    """``contract draft`` of that home reads no row, and makes features of these columns and kinds among others."""
    line = ["contract", "draft", "--home", str(tmp_path / "north"), "--label", "opened"]
    assert main([*line, "--out", str(tmp_path / "draft.yaml")]) == 0
    said = capsys.readouterr().out
    written = (tmp_path / "draft.yaml").read_text()
    assert "MARK" not in said + written
    contract = contract_from_mapping(yaml.safe_load(written))
    assert contract.patient == "patient"  # as the mapping calls it
    assert "patient was guessed" not in " ".join(said.split())
    found = {f.name: f.kind for f in contract.features}
    assert kinds.items() <= found.items()
    assert "pat_no" not in contract.columns("messages") + contract.columns("patients")
    return contract
