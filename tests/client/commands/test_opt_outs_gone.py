"""Opt-outs that an export lost are seen, and nobody is written to before a person has looked."""

from datetime import UTC, datetime

import pytest

from tests.client.outreach.decide.outreach_home import patient, write_table
from wardround.client.alerts import standing
from wardround.client.checks.opt_outs import OPT_OUTS, are_gone, opt_outs, opt_outs_gone
from wardround.client.home.home import load_home
from wardround.client.outreach.journal.journal import open_journal
from wardround.protocol.errors import ConfigurationError

GRANTS = [f"{patient(number)},purpose,reach,2024-01-01,," for number in range(1, 13)]
WITHDRAWN = [f"Q{number},purpose,reach,,2024-02-01," for number in range(20)]
HEAD = "patient,kind,value,granted_at,withdrawn_at,expires_at"


@pytest.fixture
def withdraw(outreach):
    """Write the consents with so many rows that withdraw."""

    def write(rows):
        write_table(outreach.folder, "consents", HEAD, [*GRANTS, *WITHDRAWN[:rows]])
        return load_home(outreach.folder)

    return write


def proposals(folder):
    with open_journal(folder) as journal:
        return sum(1 for _ in journal.proposals())


@pytest.mark.parametrize("left", [0, 10, 16])
def test_nobody_is_written_to_where_many_opt_outs_are_gone(outreach, run_outreach, withdraw, left):
    withdraw(20)
    assert run_outreach("propose")[0] == 0
    before = proposals(outreach.folder)
    home = withdraw(left)
    for act in (("propose",), ("export", "texts", "--person", "Grace Hopper")):
        code, _, error = run_outreach(*act)
        assert code == 2
        assert f"consents: {left} rows take something back, and 20 did" in error
        assert OPT_OUTS in error
    assert proposals(outreach.folder) == before
    [finding] = opt_outs(home)
    assert finding.state == "FAULT"
    withdraw(20)
    assert run_outreach("propose")[0] == 0
    # A person may say that the export is right.
    withdraw(left)
    (outreach.folder / OPT_OUTS).unlink()
    assert run_outreach("propose")[0] == 0


def test_a_few_fewer_are_usual_and_more_are_remembered(withdraw):
    for rows in (10, 8, 20, 17, 15):
        assert opt_outs_gone(withdraw(rows), keep=True) == []
    [gone] = opt_outs_gone(withdraw(9), keep=True)
    assert (gone.before, gone.now) == (15, 9), "the last look counts, and one with a fault is none"
    assert not are_gone(1000, 950)
    assert are_gone(1000, 900)


def test_each_table_that_takes_something_back_is_counted(outreach, withdraw):
    folder, more = outreach.folder, ("preferences", "vetoes", "authorisations")
    settings = (folder / "hospital.yaml").read_text()
    named = "".join(f"  {table}: {{path: {table}.csv}}\n" for table in more)
    (folder / "hospital.yaml").write_text(settings.replace("tables:\n", f"tables:\n{named}", 1))
    heads = {
        "preferences": ("patient,kind,value,wanted,said_at", ",contact,,no,2024-01-01"),
        "vetoes": ("patient,reason,starts_at,ends_at", ",deceased,2024-01-01,"),
        "authorisations": (
            "patient,paid_by,topic,signed_at,revoked_at,expires_at",
            ",,visits,2024-01-01,2024-02-01,2030-01-01",
        ),
    }
    for table, (head, row) in heads.items():
        write_table(folder, table, head, [f"Q{number}{row}" for number in range(9)])
    assert opt_outs_gone(withdraw(9), keep=True) == []
    for table, (head, _) in heads.items():
        write_table(folder, table, head, [])
    gone = opt_outs_gone(load_home(folder), keep=True)
    assert [(one.table, one.before, one.now) for one in gone] == [(table, 9, 0) for table in sorted(heads)]
    # A table that the mapping no longer names is gone too.
    (folder / "hospital.yaml").write_text(settings)
    assert [one.table for one in opt_outs_gone(load_home(folder), keep=True)] == sorted(heads)


def test_people_are_told_and_no_number_leaves(withdraw):
    now = datetime.now(UTC)
    assert standing.of_tables(withdraw(20), list, now) == []
    [alert] = standing.of_tables(withdraw(3), list, now)
    assert (alert.event, alert.subject) == ("opt_outs_gone", "consents")
    assert not any(letter.isdigit() for letter in alert.text)


@pytest.mark.parametrize(
    "content", [b"", b"{}x", b"[]", b'{"consents":-1}', b'{"consents":true}', b'{"P-1":1}']
)
def test_a_file_that_is_none_is_refused_by_name(withdraw, outreach, content):
    home = withdraw(3)
    (outreach.folder / OPT_OUTS).write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"^{OPT_OUTS}: is not what this program writes; remove it"):
        opt_outs_gone(home, keep=True)
