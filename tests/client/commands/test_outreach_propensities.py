"""``outreach propensities``: what chance drew and what left, so that the hospital's tables can name it."""

from datetime import datetime

import polars as pl
import pytest

from tests.client.outreach.decide.outreach_home import (
    GRACE,
    IDA,
    Run,
    approve_content,
    explored,
    patient,
    text_of,
)
from tests.client.small_hospital import Hospital

HEAD = "patient,message,exported_at,trigger,topic,channel,module,propensity"


@pytest.fixture
def left(outreach: Hospital, run_outreach: Run) -> Hospital:
    """The hospital after its messages left, but for one that was held: chance drew 1 to 5; a person changed 5."""
    (outreach.folder / "content/short.en.txt").write_text(text_of(id="short"))
    approve_content(outreach, "short.en")
    explored(outreach, 1, 2, 3, 4, 5)
    explored(outreach, 2, propensity=0.25)
    code, changed, error = run_outreach("change", 5, "--to", "short.en", *GRACE)
    assert code == 0, error
    for person in (GRACE, IDA):
        assert run_outreach("approve", "--trigger", "unconfirmed-visit", "--yes", *person)[0] == 0
        assert run_outreach("approve", changed["proposed"], "--yes", *person)[0] in (0, 2)
    assert run_outreach("hold", 4, *GRACE)[0] == 0
    assert run_outreach("export", "texts", "--person", "Grace Hopper")[1]["sent"] >= 10
    return outreach


def test_the_table_holds_what_chance_drew_and_what_left_and_nothing_else(
    left: Hospital, run_outreach: Run
) -> None:
    path = left.folder / "drawn.csv"
    code, said, error = run_outreach("propensities", "--out", path)
    assert code == 0, error
    assert said == {"written": str(path), "messages": 3, "smallest": 0.25}
    table = pl.read_csv(path)
    assert ",".join(table.columns) == HEAD
    # Not 4, which did not leave; not 5, which a person chose; not 6 to 12, for which nothing was drawn.
    chances = dict(table.select("patient", "propensity").iter_rows())
    assert chances == {patient(1): 0.5, patient(2): 0.25, patient(3): 0.5}
    (exported,) = (left.folder / "texts").glob("outreach-*.csv")
    sent = pl.read_csv(exported).select("message", "patient")
    assert table.join(sent, on=["message", "patient"], how="inner").height == 3  # as the sender knows it
    assert all(datetime.fromisoformat(one).tzinfo is None for one in table["exported_at"].to_list())
    assert path.stat().st_mode & 0o777 == 0o600


def test_where_nothing_was_drawn_it_says_so_and_a_folder_that_is_missing_is_one_line(
    outreach: Hospital, run_outreach: Run
) -> None:
    path = outreach.folder / "drawn.csv"
    code, said, _ = run_outreach("propensities", "--out", path, plain=True)
    assert code == 0
    assert "of no message: chance drew none that was exported" in said
    assert path.read_text() == HEAD + "\n"
    code, _, error = run_outreach("propensities", "--out", outreach.folder / "nowhere" / "drawn.csv")
    assert (code, "cannot be written" in error) == (2, True)
