"""(a) One private step ÷ one plain PyTorch step, beside Opacus's own ways to take the same private step."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from torch import nn

from wardround.client.cohort import Cohort
from wardround.client.train.check_closed_form import random_cohort
from wardround.client.train.patient_batch import PatientBatch, pad_patients
from wardround.client.train.update import clipped_sums
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.model import parameter_count
from wardround.protocol.model.modules import build_module, load_vector
from wardround.protocol.privacy.mechanism import add_noise
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.settings import ModelSettings
from wardround.simulations.bench.page import Part
from wardround.simulations.bench.timing import Times, interleaved

MODELS = (
    ModelSettings(),
    ModelSettings(kind="wide_deep", hidden=(64,)),
    ModelSettings(kind="mlp", hidden=(64, 32)),
)
BATCHES = (64, 256, 1024, 4096)
EVENTS = (1, 8)
ENGINES = ("hooks", "ghost", "functorch")
CLIP_NORM, NOISE_MULTIPLIER, RATE = 1.0, 1.0, 0.1
LARGEST_GRADIENTS = 1 << 30
"""Bytes: Opacus with a gradient per patient is left out where these gradients alone would take more."""


def benchmark(layout: Layout, repetitions: int = 9, quick: bool = False) -> Part:
    """Measure the grid; layout is that of the synthetic federation's contract."""
    batches = (64, 1024) if quick else BATCHES
    grid = [(model, batch, events) for model in MODELS for batch in batches for events in EVENTS]
    rows = [_cell(layout, *point, repetitions, quick) for point in grid]
    ours = [float(str(row[4])) for row in rows]
    seen = {
        e: [float(str(row[5 + i])) for row in rows if row[5 + i] is not None] for i, e in enumerate(ENGINES)
    }
    return Part(
        key="a",
        title="Private step ÷ plain PyTorch step",
        columns=(
            "model",
            "patients",
            "K",
            "plain step, ms",
            "Wardround ÷ plain",
            *(f"Opacus {e} ÷ plain" for e in ENGINES),
        ),
        rows=rows,
        notes=(
            f"Median over the grid {median(ours):.2f}, largest {max(ours):.2f}. Over the same grid Opacus has "
            + ", ".join(f"{engine} {median(s):.1f} ({max(s):.1f})" for engine, s in seen.items() if s)
            + ".",
            f"{layout.width} design columns, {repetitions} interleaved repetitions, one thread. Plain: dense float32 "
            "rows [patients, K, width], forward, mean of per-patient losses, backward, SGD. Private: the same "
            "batch, each patient clipped, noise from AES-256 added and rounded to the grid, SGD. Batches lie in "
            "memory for all; every patient has K events.",
        ),
        facts={"median": median(ours), "largest": max(ours)},
    )


def _cell(
    layout: Layout, model: ModelSettings, batch: int, events: int, repetitions: int, quick: bool
) -> list[object]:
    cohort = full_cohort(layout, batch, events)
    patients = pad_patients(layout, cohort, torch.float32)
    contestants = {"plain": plain_step(model, layout, patients), "ours": private_step(model, layout, cohort)}
    left_out = 4 * batch * parameter_count(model, layout) > LARGEST_GRADIENTS
    for engine in ENGINES if not quick else ENGINES[:2]:
        # Ghost clipping takes norms alone: it never holds a gradient per patient.
        if engine == "ghost" or not left_out:
            contestants[engine] = opacus_step(model, layout, patients, engine)
    times: Times = interleaved(contestants, repetitions, least_seconds=0.01)
    name = model.kind + (f" {list(model.hidden)}" if model.hidden else "")
    ratios = [times.ratio(e, "plain") if e in contestants else None for e in ("ours", *ENGINES)]
    return [name, batch, events, 1e3 * times.median("plain"), *ratios]


def full_cohort(layout: Layout, patients: int, events: int) -> Cohort:
    """Invent one hospital's patients with ``events`` events each."""
    cohort = random_cohort(layout, (patients * events,), 1, Keystream(derive_key("bench", patients, events)))
    return replace(
        cohort,
        tokens=cohort.tokens[:patients],
        events_from=np.arange(patients + 1) * events,
        patients_from=np.array([0, patients]),
    )


def plain_step(model: ModelSettings, layout: Layout, batch: PatientBatch) -> Callable[[], None]:
    """Give one step of SGD on the mean of the patients' losses."""
    module = _module(model, layout)
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE)

    def step() -> None:
        optimizer.zero_grad()
        batch.losses(module(batch.rows)).mean().backward()
        optimizer.step()

    return step


def private_step(model: ModelSettings, layout: Layout, cohort: Cohort) -> Callable[[], None]:
    """Give one step as a hospital takes it in a simulation: clipped sum, noise, descent."""
    weights = _start(model, layout)[np.newaxis]
    stream = Keystream(derive_key("bench noise"))
    steps = iter(range(1 << 62))

    def step() -> None:
        nonlocal weights
        sums = clipped_sums(model, layout, weights, cohort, CLIP_NORM)
        noised = add_noise(sums, NOISE_MULTIPLIER * CLIP_NORM, [stream.child("step", next(steps))])
        weights = weights - RATE / cohort.patient_count * noised

    return step


def opacus_step(model: ModelSettings, layout: Layout, batch: PatientBatch, engine: str) -> Callable[[], None]:
    """Give one step by Opacus's own optimiser, its module wrapped once: hooks, ghost or functorch."""
    step = _opacus_step(model, layout, batch, engine)

    def quiet_step() -> None:
        with warnings.catch_warnings():
            # Our rows ask for no gradient, of which PyTorch warns at each step: printing it would be timed, too.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            step()

    return quiet_step


def _opacus_step(
    model: ModelSettings, layout: Layout, batch: PatientBatch, engine: str
) -> Callable[[], None]:
    from opacus.optimizers import DPOptimizer

    from wardround.client.train.quiet_opacus import (
        DPLossFastGradientClipping,
        DPOptimizerFastGradientClipping,
        GradSampleModule,
        GradSampleModuleFastGradientClipping,
    )

    module = _module(model, layout)
    own = torch.optim.SGD(module.parameters(), lr=RATE)
    settings = {
        "noise_multiplier": NOISE_MULTIPLIER,
        "max_grad_norm": CLIP_NORM,
        "expected_batch_size": len(batch),
        "loss_reduction": "mean",
    }
    if engine != "ghost":
        wrapped = GradSampleModule(module, loss_reduction="mean", force_functorch=engine == "functorch")
        optimizer = DPOptimizer(own, **settings)

        def step() -> None:
            optimizer.zero_grad()
            batch.losses(wrapped(batch.rows)).mean().backward()
            optimizer.step()

        return step
    ghost = GradSampleModuleFastGradientClipping(module, loss_reduction="mean", max_grad_norm=CLIP_NORM)
    ghost_optimizer = DPOptimizerFastGradientClipping(own, **settings)
    criterion = DPLossFastGradientClipping(ghost, ghost_optimizer, _Losses(), loss_reduction="mean")

    def ghost_step() -> None:
        ghost_optimizer.zero_grad()
        criterion(ghost(batch.rows), batch).backward()
        ghost_optimizer.step()

    return ghost_step


class _Losses:
    """A criterion as Opacus wants it: one loss per patient."""

    reduction = "mean"

    def __call__(self, logits: torch.Tensor, batch: PatientBatch) -> torch.Tensor:
        return batch.losses(logits)


def _module(model: ModelSettings, layout: Layout) -> nn.Module:
    module = build_module(model, layout, torch.float32)
    load_vector(module, _start(model, layout))
    return module


def _start(model: ModelSettings, layout: Layout) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Random weights: from zero the output layer's gradient alone would be other than zero."""
    gaussian = Keystream(derive_key("bench weights")).gaussian(parameter_count(model, layout))
    return 0.1 * gaussian
