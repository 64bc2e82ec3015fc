"""What a trial protocol shows so far, on a page: as ``outreach measure`` has it, and no count of few patients."""

import re
from typing import Any

import polars as pl
import pytest

from tests.client.console.conftest import Console
from tests.client.outreach.measure.trials import (
    PATIENTS,
    set_date,
    write_outcomes,
)
from wardround.client.commands.open_home import open_home
from wardround.client.commands.outreach_measure import measured
from wardround.client.commands.outreach_protocol import signed_protocols
from wardround.client.console.counts import rounded
from wardround.client.outreach.journal.journal import JOURNAL_FILE, open_journal


@pytest.fixture
def page_of(trial: Any, console: Console, browse: Any) -> Any:
    """Open the page as one of its roles; its text, with a table's cells apart."""

    def page_of(role: str = "communications", query: str = "") -> str:
        page = browse(role).get(f"/results{query}")
        assert page.status_code == 200
        return re.sub(r"\s+", " ", page.text.partition("<main")[2].partition("</main>")[0])

    return page_of


@pytest.mark.parametrize("role", ["communications", "privacy"])
def test_differences_are_shown_with_their_intervals_as_the_command_has_them(
    trial: Any, page_of: Any, role: str
) -> None:
    trial.sign()
    write_outcomes(trial)
    page = page_of(role)
    with open_home(trial.folder) as opened:
        found, _ = measured(opened, signed_protocols(opened).read()[0])
    (primary,) = found.comparisons
    assert primary.low is not None
    assert primary.high is not None
    for value in (primary.found.difference, primary.low, primary.high):
        assert f"{100 * value:+.1f}" in page
    assert "personalised − standard" in page
    assert "age: under 40" in page
    assert "cancellations, personalised" in page
    assert f"{PATIENTS // 10 * 10} or more" in page
    counts = " / ".join(f"{count // 10 * 10} or more" for count in primary.found.patients)
    assert counts in page.partition("personalised − standard")[2].partition("</tr>")[0]
    assert "patient-" not in page


def test_a_small_group_has_neither_a_count_nor_a_difference(trial: Any, page_of: Any) -> None:
    trial.sign(groups={"age": {"table": "patients", "column": "age", "edges": [100]}})
    write_outcomes(trial)
    path = trial.folder / "patients.csv"
    old = pl.col("patient").is_in([f"patient-{number}" for number in range(8)])
    pl.read_csv(path).with_columns(age=pl.when(old).then(120).otherwise("age")).write_csv(path)
    rows = page_of().partition("By group")[2].split("<tr")
    (row,) = [one for one in rows if "age: 100 or more" in one]
    assert "too few patients" in row
    assert row.count("fewer than 11") == 2
    assert not re.search(r">[^<]*\d[^<]*<", row.replace("fewer than 11", "").replace("age: 100 or more", ""))


@pytest.mark.parametrize(
    ("count", "shown"), [(0, None), (10, None), (11, 10), (19, 10), (20, 20), (905, 900)]
)
def test_counts_are_rounded_down_so_that_no_difference_of_two_is_a_small_group(
    count: int, shown: int | None
) -> None:
    assert rounded(count) == shown


def test_a_guardrail_of_few_patients_tells_its_state_and_no_more(trial: Any, page_of: Any) -> None:
    trial.sign()
    write_outcomes(trial, cancelled={"personalised": 0.25, "standard": 0.0})
    row = page_of().partition("What must not get worse")[2].partition("</table>")[0]
    assert ">worse<" in row
    assert "fewer than 11" in row
    assert "too few patients" in row


def test_before_the_first_planned_look_no_difference_is_shown(trial: Any, page_of: Any) -> None:
    trial.sign(looks=["2026-12-01", "2026-12-18"])
    write_outcomes(trial)
    set_date(trial, "2026-11-30T08:00:00+00:00")
    page = page_of()
    assert "The first look is planned for 2026-12-01" in page
    assert "personalised − standard" not in page


def test_what_makes_a_difference_mean_nothing_stands_above_it(trial: Any, page_of: Any) -> None:
    trial.sign()
    write_outcomes(trial)
    assert "The arms are not as large" not in page_of()
    with open_journal(trial.folder) as journal:
        journal.forget([one.token for one in journal.proposals() if one.arm == "standard"][:200])
    path = trial.folder / "outreach.yaml"
    path.write_text(path.read_text().replace("keep_days: 90", "keep_days: 20"))
    page = page_of()
    assert page.index("The arms are not as large as they were drawn") < page.index("personalised − standard")
    assert "Who was counted in before 2026-11-30 is gone" in page


def test_without_a_protocol_or_a_message_the_page_says_so_and_begins_nothing(
    trial: Any, page_of: Any
) -> None:
    (trial.folder / JOURNAL_FILE).unlink(missing_ok=True)
    assert "No trial protocol is signed" in page_of("privacy")
    trial.sign()
    assert "nobody is counted in" in page_of("privacy")
    assert not (trial.folder / JOURNAL_FILE).exists()


def test_each_signed_protocol_has_its_own_results(
    trial: Any, console: Console, page_of: Any, browse: Any
) -> None:
    trial.sign()
    trial.sign(name="later", question="And next year?", starts="2027-01-04", ends="2027-02-01")
    assert "And next year?" in page_of()
    assert "Do chosen messages help" in page_of(query="?protocol=attend")
    assert browse("privacy").get("/results?protocol=%3Cb%3E").status_code == 409
