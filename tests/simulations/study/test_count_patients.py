"""A simulated feasibility query: what the server would be told, charged and noised, with the exact numbers beside."""

import json
import sys

import pytest

from wardround.simulations.main import main


@pytest.mark.parametrize("noise", ["local", pytest.param("secure", marks=pytest.mark.slow)])
def test_counts_of_a_simulation_hold_the_exact_ones(noise, tmp_path, monkeypatch, capsys):
    words = ["experiment=tiny", "data.hospitals=5", f"privacy.noise={noise}", "privacy.epsilon=2"]
    words += [
        f"output_dir={tmp_path / 'out'}",
        f"federation.cache_dir={tmp_path / 'cache'}",
        "privacy.delta=1e-5",
    ]
    monkeypatch.setattr(sys, "argv", ["wardround-simulate", "feasibility", *words, "--json"])
    assert main() == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told == json.loads((tmp_path / "out/feasibility.json").read_text())
    exact = told["exact"]
    pairs = [(told["training_patients"], exact["training_patients"]), (told["rate"], exact["rate"])]
    pairs += [
        (noised["training_patients"], group["training_patients"])
        for noised, group in zip(told["groups"], exact["groups"], strict=True)
    ]
    # By chance each misses once in 20; the seed is fixed.
    assert sum(found["low"] <= true <= found["high"] for found, true in pairs) >= len(pairs) - 2
    assert any(found["value"] != pytest.approx(true, abs=1e-3) for found, true in pairs)
    assert 1.99 < told["epsilon"] <= 2.0
    assert (told["by_hospital"] == {}) == (noise == "secure")
    assert told["simulation"] is True
    assert "exactly, which only a simulation can know" in printed.err
