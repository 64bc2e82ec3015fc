"""The measure of ``propose`` proposes to everybody, and lets the model choose."""

from pathlib import Path

from wardround.client.outreach.journal.journal import Journal
from wardround.simulations.bench.outreach import measure_propose


def test_everybody_is_proposed_to_and_capacities_hold(tmp_path: Path) -> None:
    found = measure_propose(tmp_path, 400, 6)
    assert found.proposed == 400
    with Journal(tmp_path / "outreach.sqlite") as journal:
        rows = list(journal.proposals())
    other = [one for one in rows if one.module != one.standard]
    assert len(other) > 40
    assert 0 < sum(one.channel == "letter" for one in other) <= 40
