"""Bands of the ROC curve and the calibration: they hold at all points at once, and narrower ones do not."""

import math

import numpy as np
import pytest

from wardround.protocol.terms.evaluation import TableRow
from wardround.server.evaluation.bands import RocBand, calibration_bars, roc_band
from wardround.server.evaluation.estimates import NoisedTables
from wardround.server.evaluation.evaluation import evaluate_tables

EDGES = np.array([-1.35, -0.8, -0.35, 0.0, 0.35, 0.8, 1.35])
BELL = np.exp(-((np.arange(8) - 3.5) ** 2) / 4)
CHANCES = np.stack([0.7 * np.roll(BELL, -1), 0.3 * np.roll(BELL, 1)]) / BELL.sum()


def tables(counts, noise):
    return NoisedTables(
        1, (TableRow(),), counts[np.newaxis], np.array([[noise**2]]), np.eye(len(EDGES) + 1), EDGES, 5
    )


def points(counts):
    """Give the true points at the bins' edges, and the shares of label 1 in each bin."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    above = np.cumsum(shares[:, ::-1], axis=1)[:, :-1]
    return list(zip(*above, strict=True)), counts[1] / counts.sum(axis=0)


def coverage(draws, patients, noise, confidence=0.95, resample=True):
    """Give how often the bands hold over draws of noise, and of patients where they are drawn anew."""
    rng, held, barred = np.random.default_rng(3), 0, 0
    true, shares = points(CHANCES * patients)
    for _ in range(draws):
        counts = rng.multinomial(patients, CHANCES.ravel()).reshape(2, 8) if resample else CHANCES * patients
        seen = counts + rng.normal(0, noise, counts.shape)
        found = evaluate_tables(tables(seen, noise), confidence)
        held += roc_band(found, noise_only=not resample).holds(true)
        bars = calibration_bars(found, noise_only=not resample)
        # A bin that noise hides has no bar; the others are in order.
        kept = [i for i, (_, one) in enumerate(found.calibration) if math.isfinite(one.value)]
        barred += all(bar.low <= shares[i] <= bar.high for i, bar in zip(kept, bars, strict=True))
    return held / draws, barred / draws


@pytest.mark.parametrize("resample", [True, False], ids=["noise_and_patients", "noise_alone"])
def test_bands_hold_at_all_points_at_once(resample):
    assert min(coverage(40, 6000, 12.0, resample=resample)) >= 0.9


def test_narrower_bands_do_not_hold():
    """Each of m numbers at a level of its own, as ``at_once`` would give it: bars of single ranges, half a band."""
    _, barred = coverage(40, 6000, 12.0, confidence=1 - 8 * 0.05, resample=False)
    assert barred < 0.85
    held, _ = coverage(40, 6000, 12.0, confidence=1 - 14 * 0.3, resample=False)
    assert held < 0.85


@pytest.mark.slow
@pytest.mark.parametrize(("patients", "noise"), [(2000, 5.0), (6000, 12.0), (6000, 40.0)])
def test_bands_hold_over_many_draws(patients, noise):
    assert min(coverage(500, patients, noise)) >= 0.94


def test_a_band_goes_from_corner_to_corner_rises_and_holds_the_curve():
    found = evaluate_tables(tables(CHANCES * 6000, 30.0), 0.95)
    band = roc_band(found)
    for line in (band.curve, band.upper, band.lower):
        assert (line[0], line[-1]) == ((0.0, 0.0), (1.0, 1.0))
        assert all(np.diff([y for _, y in line]) >= 0)
    assert band.holds(band.curve)
    assert not band.holds([(0.1, 0.95)])
    assert not band.holds([(0.9, 0.3)])


def test_what_noise_hides_has_no_band():
    found = evaluate_tables(tables(CHANCES * 20, 100.0), 0.95)
    assert roc_band(found) == RocBand((), (), ())
    assert calibration_bars(found) == ()
