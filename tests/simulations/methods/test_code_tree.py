"""What levels of a code are worth under noise: much where groups say something, little lost where they do not."""

import numpy as np
import pytest

from wardround.simulations.methods import code_tree
from wardround.simulations.methods.code_tree import CODES, READINGS, contract_for, draw, main, measure


def test_contracts_differ_in_how_they_read_the_code_alone() -> None:
    widths = {reading: contract_for(reading).layout.width for reading in READINGS}
    plain = widths["no code"]
    assert widths == {"no code": plain, "words": plain + 201, "groups": plain + 21, "both": plain + 221 + 21}


def test_codes_are_skewed_and_effects_as_large_whatever_groups_say() -> None:
    for group_stddev in (0.5, 0.0):
        drawn = draw(4000, 1, group_stddev)
        counts = drawn.tables.messages.lazy().collect()["code"].value_counts()["count"].sort(descending=True)
        assert counts[0] > 30 * counts[len(counts) // 2]
        assert len(counts) <= len(CODES)
        assert 0.05 < drawn.truth.std() < 0.2


@pytest.mark.slow
@pytest.mark.statistical
def test_levels_gain_where_groups_say_something_and_lose_little_where_not() -> None:
    gains = {}
    for group_stddev in (0.5, 0.0):
        rows = [measure(5000, seed, 1.0, "local", group_stddev, ("words", "both")) for seed in range(3)]
        gains[group_stddev] = np.array([row["both"] - row["words"] for row in rows])
    assert gains[0.5].min() > 0.01
    assert gains[0.5].mean() > 0.02
    assert gains[0.0].mean() > -0.01


def test_the_command_prints_a_row_for_each_size(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = dict.fromkeys(READINGS, 0.6) | {"both": 0.65, "truth": 0.7}
    monkeypatch.setattr(code_tree, "measure", lambda *_: found)
    main(["--patients", "600", "700", "--seeds", "2"])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("ε = 1, noise=local, 2 seeds")
    assert [row.split(" patients: no code 0.6000 ± 0.0000")[0] for row in rows] == ["600", "700"]
    assert rows[0].endswith("gain of groups +0.0000 ± 0.0000, both +0.0500 ± 0.0000")
