"""``outreach arms``: who was counted in, as a table that the gate reads; nothing of a personal part."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from tests.client.outreach.measure.test_protocol import SIGN
from tests.client.outreach.measure.trials import PROTOCOL, write_outcomes, write_protocol
from tests.client.small_hospital import CONTRACT
from tests.client.small_hospital import PATIENTS as WITH_MESSAGES
from wardround.client.connectors.source import read_tables
from wardround.client.gate.admit import admit
from wardround.client.gate.arms import ARM
from wardround.client.home.home import load_home
from wardround.client.outreach.journal.journal import open_journal
from wardround.client.outreach.measure.arms import drawn_arms
from wardround.client.outreach.measure.arms_table import ENTRIES, arms_table
from wardround.client.outreach.measure.protocol_file import SignedProtocols
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError

ARMS = {
    "column": "arm",
    "reference": "standard",
    "shares": PROTOCOL["arms"],
    "since": "counted_in",
    "until": "until",
}


@pytest.fixture
def counted(trial) -> Any:
    """A home with a signed protocol, and a journal that counts everybody in."""
    write_protocol(trial)
    assert trial.run(*SIGN)[0] == 0
    write_outcomes(trial)
    return trial


def test_the_table_names_drawn_arms_and_windows_and_the_gate_reads_it(counted) -> None:
    path = counted.folder / "arms.csv"
    code, said, error = counted.run("arms", "--out", str(path))
    assert code == 0, error
    table = pl.read_csv(path)
    home = load_home(counted.folder)
    # Of the protocol's patients, those of whom the tables hold a message.
    assert len(table) == WITH_MESSAGES == sum(said["patients"].values())
    drawn = drawn_arms(table["patient"].to_list(), home.patients_key, "attend", PROTOCOL["arms"])
    assert table["arm"].to_list() == list(drawn)
    days = table["until"].str.to_datetime() - table["counted_in"].str.to_datetime()
    assert days.dt.total_days().unique().to_list() == [PROTOCOL["outcome"]["days"]]
    assert path.stat().st_mode & 0o777 == 0o600

    counted.configure("  arms: {path: arms.csv}\n")
    messages = pl.read_csv(counted.folder / "messages.csv", infer_schema=False)
    late = messages.unique("patient", keep="first", maintain_order=True).join(table, on="patient")
    late = late.with_columns(decided="counted_in", due="until").select(messages.columns)
    pl.concat([messages, late]).write_csv(counted.folder / "messages.csv")
    contract = contract_from_mapping({**CONTRACT, "topic": None, "arms": ARMS})
    read = read_tables(load_home(counted.folder).source, contract)
    admitted = admit(read, contract, home.patients_key, datetime(2027, 2, 1, tzinfo=UTC))
    both = pl.concat([admitted.training, admitted.heldout])
    assert len(both) == WITH_MESSAGES
    names = late["patient"].gather(both["row"].cast(pl.Int64) - len(messages))
    arm_of = dict(zip(table["patient"].to_list(), table["arm"].to_list(), strict=True))
    words = contract.arms.words
    assert [words[arm] for arm in both[ARM].to_list()] == [arm_of[name] for name in names.to_list()]


def test_it_is_written_anew_and_nobody_else_may_read_it(counted) -> None:
    path = counted.folder / "arms.csv"
    path.write_text("old")
    assert counted.run("arms", "attend", "--out", str(path))[0] == 0
    assert path.read_text().startswith("patient,arm,counted_in,until\n")
    code, _, error = counted.run("arms", "--out", str(counted.folder / "nowhere" / "arms.csv"))
    assert (code, "cannot be written" in error) == (2, True)
    code, _, error = counted.run("arms", "other", "--out", str(path))
    assert (code, "nobody signed it" in error) == (2, True)


def test_arms_in_which_the_hospitals_own_part_chose_are_never_written(counted) -> None:
    home = load_home(counted.folder)
    signed = SignedProtocols(home.approvals_folder, home.key.public).find("attend")
    with open_journal(counted.folder) as journal:
        entries = journal.frame(ENTRIES)
    whole = arms_table(signed, entries, home.source, home.patients_key)
    own = pl.when(pl.int_range(pl.len()) == 5).then(pl.lit('{"own_part": true}')).otherwise("stands_on")
    with pytest.raises(ConfigurationError, match="own part chose messages of its arms"):
        arms_table(signed, entries.with_columns(stands_on=own), home.source, home.patients_key)
    personal = entries.with_columns(
        arm=pl.when(pl.col("arm") == "personalised").then(pl.lit("personal")).otherwise("arm"),
        stands_on=pl.lit('{"own_part": true}'),
    ).filter(pl.col("arm") == "personal")
    rest = entries.filter(pl.col("arm") == "standard")
    found = arms_table(signed, pl.concat([personal, rest]), home.source, home.patients_key)
    assert found.equals(whole.filter(pl.col("arm") == "standard"))
