"""Who is one patient, asked of the running agent: the clause, and both accounts after a change of form."""

import json

import pytest

from wardround.client.main import main
from wardround.protocol.wire.signed_terms import save_terms, sign_terms

COLUMN = "patient: {column: patient, form: %s}\n"


def restart(hospital, settings):
    hospital.stop()
    hospital.configure(settings)


@pytest.mark.parametrize(
    ("settings", "answers"),
    [
        (COLUMN % "text", True),
        ("patient: {column: pat_no}\n", False),
        ("", True),
    ],
)
def test_a_contract_of_other_patients_is_refused_and_nothing_is_spent(hospital, settings, answers):
    hospital.configure(settings)
    hospital.approve()
    if answers:
        hospital.released(1)
    else:
        assert hospital.clause(1) == "patient"
        assert hospital.epsilon == 0


def test_a_table_may_name_another_column_that_the_mapping_renames(hospital):
    tables = {
        "messages": "{path: messages.csv, columns: {patient: pat_no}}",
        "patients": "{path: patients.csv, columns: {patient: pat_no}}",
        "consents": "{path: consents.csv, patient: patient}",
    }
    text = "".join(f"  {table}: {place}\n" for table, place in tables.items())
    settings = f"hospital: north\npatient: {{column: pat_no}}\ntables:\n{text}"
    (hospital.folder / "hospital.yaml").write_text(settings)
    hospital.approve()
    hospital.released(1)


def test_the_clause_is_forecast_with_column_and_remedy(hospital, capsys):
    hospital.configure("patient: {column: pat_no}\n")
    save_terms(sign_terms(hospital.terms, hospital.operator), hospital.folder / "t.terms")
    assert main(["forecast", str(hospital.folder / "t.terms"), "--home", str(hospital.folder)]) == 2
    said = capsys.readouterr()
    assert "patient" in said.err
    assert "pat_no" in said.err
    assert "hospital.yaml" in said.err


def foretold(hospital, capsys, name):
    """What forecast and the board's page say of the study; both say whether the accounts add up."""
    file, page = hospital.folder / "t.terms", hospital.folder / name
    if not file.exists():
        save_terms(sign_terms(hospital.terms, hospital.operator), file)
    asked = [str(file), "--home", str(hospital.folder)]
    assert main(["forecast", *asked]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert main(["forecast", *asked, "--json"]) == 0
    joined = json.loads(capsys.readouterr().out)["accounts_add_up"]
    assert main(["approve", *asked, "--page", str(page)]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert joined == ("add up" in said) == ('id="joined"' in page.read_text())
    return said


def test_a_change_of_form_after_a_release_adds_both_accounts_up_and_is_said(approved, capsys):
    restart(approved, COLUMN % "text")
    approved.released(1)
    assert "add up" not in foretold(approved, capsys, "first.html")
    first = approved.epsilon
    restart(approved, COLUMN % "text")
    approved.released(2)
    assert approved.agent._ledger.spent("held_out", 1e-5) == 0
    restart(approved, COLUMN % "uuid")
    approved.stop()
    assert "add up" in foretold(approved, capsys, "before.html")  # the next release would do it
    approved.released(3)
    ledger = approved.agent._ledger
    assert ledger.spent("held_out", 1e-5) == approved.epsilon > first
    approved.stop()
    assert "add up" in foretold(approved, capsys, "after.html")
    assert main(["status", "--json", "--home", str(approved.folder)]) == 0
    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert "both accounts add up" in fault
    keep_terms = approved.folder / "terms" / "tea.terms"
    keep_terms.parent.mkdir(exist_ok=True)
    save_terms(sign_terms(approved.terms, approved.operator), keep_terms)
    page = approved.folder / "notice.html"
    asked = ["notice", str(page), "--home", str(approved.folder)]
    assert main(asked) == 0, capsys.readouterr().err
    assert 'id="joined"' in page.read_text()
