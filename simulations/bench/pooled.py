"""(b) The no-show study ÷ a plain full-batch PyTorch loop over the pooled data: same model, as many passes."""

import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import nn

from wardround.protocol.arrays import Integers32
from wardround.protocol.model.design import active_columns, dense_rows
from wardround.protocol.terms.terms import Terms
from wardround.simulations.bench import noshow
from wardround.simulations.bench.page import Part
from wardround.simulations.bench.timing import interleaved
from wardround.simulations.federation.federation import Federation

Loop = Callable[[], None]


def benchmark(path: Path, quick: bool = False) -> Part:
    """Measure training against both plain loops, then one whole command."""
    with tempfile.TemporaryDirectory() as folder:
        settings = noshow.settings_of(path, 40, Path(folder))
        started = time.perf_counter()
        federation, terms = noshow.load(settings)
        data_seconds = time.perf_counter() - started
        loops = {
            "private": lambda: noshow.train(noshow.fresh(federation), terms),
            "dense": dense_loop(federation, terms),
            "sparse": sparse_loop(federation, terms),
        }
        times = interleaved(loops, 3 if quick else 9)
        command_seconds = _command(path, Path(folder) / "run")
    rows = [
        ["plain loop, dense rows", times.median("dense"), times.ratio("dense", "sparse")],
        ["plain loop, sparse rows (CSR, both products)", times.median("sparse"), 1.0],
        [
            "Wardround: 40 private rounds over 81 hospitals",
            times.median("private"),
            times.ratio("private", "sparse"),
        ],
        ["reading the table, gate, features", data_seconds, data_seconds / times.median("sparse")],
        [
            "the whole command: start, data, rounds, seven methods, report",
            command_seconds,
            command_seconds / times.median("sparse"),
        ],
    ]
    return Part(
        key="b",
        title="The no-show study end to end ÷ a plain loop over the pooled data",
        columns=("what", "seconds", "÷ plain sparse loop"),
        rows=rows,
        notes=(
            f"Training takes {times.ratio('private', 'dense'):.2f} times the loop that a person would write "
            f"(dense rows) and {times.ratio('private', 'sparse'):.2f} times the best that we could "
            "write. Each repetition begins from encoded patients; ours pays for wards, designs, noise, ledgers, "
            "bytes, screening and the server's steps. One thread.",
        ),
        facts={
            "train_seconds": times.median("private"),
            "train_over_dense": times.ratio("private", "dense"),
            "train_over_sparse": times.ratio("private", "sparse"),
            "command_seconds": command_seconds,
        },
    )


def dense_loop(federation: Federation, terms: Terms) -> Loop:
    """Give full-batch momentum descent over dense float32 rows."""
    cohort = federation.training
    rows = torch.from_numpy(dense_rows(terms.contract.layout, cohort).astype(np.float32))

    def loop() -> None:
        module = nn.Linear(rows.shape[1], 1, bias=False)
        nn.init.zeros_(module.weight)
        _descend(module, lambda: module(rows)[:, 0], federation, terms)

    return loop


def sparse_loop(federation: Federation, terms: Terms) -> Loop:
    """Give the same over sparse rows: the matrix forward, its transpose, made once, backward."""
    columns = active_columns(terms.contract.layout, federation.training)
    rows, transposed = _matrices(columns, terms.contract.layout.width)
    product = partial(_Product.apply, rows, transposed)

    def loop() -> None:
        module = nn.Linear(rows.shape[1], 1, bias=False)
        nn.init.zeros_(module.weight)
        _descend(module, lambda: product(module.weight.T)[:, 0], federation, terms)

    return loop


class _Product(torch.autograd.Function):
    """A sparse matrix times a dense one; autograd's own backward would transpose the matrix every time."""

    @staticmethod
    def forward(
        context: Any, rows: torch.Tensor, transposed: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        context.transposed = transposed
        return rows @ weights

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Any:
        return None, None, context.transposed @ gradients[0]


def _matrices(columns: Integers32, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    ones, starts = np.ones(columns.size, np.float32), np.arange(len(columns) + 1) * columns.shape[1]
    rows = csr_matrix((ones, columns.ravel(), starts), shape=(len(columns), width))
    return _torch(rows), _torch(rows.T.tocsr())


def _torch(matrix: csr_matrix) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        starts, columns, entries = map(torch.from_numpy, (matrix.indptr, matrix.indices, matrix.data))
        return torch.sparse_csr_tensor(
            starts, columns, entries, size=list(matrix.shape), check_invariants=True
        )


def _descend(
    module: nn.Module, logits: Callable[[], torch.Tensor], federation: Federation, terms: Terms
) -> None:
    """As many full-batch steps as the study has rounds, on the mean of the patients' mean losses."""
    cohort = federation.training
    labels = torch.from_numpy(cohort.labels.astype(np.float32))
    counts = cohort.events_per_patient
    # Every patient weighs the same, as in the study: an event has its patient's share.
    shares = torch.from_numpy(np.repeat(1 / counts / len(counts), counts).astype(np.float32))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for _ in range(terms.training.rounds):
        optimizer.zero_grad()
        each = nn.functional.binary_cross_entropy_with_logits(logits(), labels, reduction="none")
        (each * shares).sum().backward()
        optimizer.step()


def _command(path: Path, output_dir: Path) -> float:
    """Seconds of the researcher's command from nothing to files."""
    program = [sys.executable, "-P", "-m", "wardround.simulations.main", "data=noshow", f"data.path='{path}'"]
    started = time.perf_counter()
    subprocess.run(
        [*program, "privacy.noise=secure", "report.progress=false", f"output_dir='{output_dir}'"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started
