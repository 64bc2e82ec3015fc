"""One program of (c): the same rounds in pfl, in pfl's own environment; it imports nothing of Wardround.

A user of pfl is what its Gaussian mechanism protects: one full-batch step per user and round, the update
clipped, the sum noised centrally. With a patient as a user that is the study's own guarantee (under secure
aggregation); with a hospital as a user it is another, whose work is less: 81 updates instead of 49,000.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam.base import NNEvalHyperParams, NNTrainHyperParams
from pfl.metrics import Weighted
from pfl.model.pytorch import PyTorchModel
from pfl.privacy.gaussian_mechanism import GaussianMechanism
from pfl.privacy.privacy_mechanism import CentrallyAppliedPrivacyMechanism
from torch import nn


class Additive(nn.Module):
    """The study's additive model over dense rows, with the loss that pfl asks a module for."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits [events]."""
        logits: torch.Tensor = self.linear(rows)[:, 0]
        return logits

    def loss(self, rows: torch.Tensor, labels: torch.Tensor, eval: bool = False) -> torch.Tensor:  # noqa: A002
        """Mean loss over a user's events."""
        return nn.functional.binary_cross_entropy_with_logits(self(rows), labels)

    def metrics(self, rows: torch.Tensor, labels: torch.Tensor, eval: bool = True) -> dict[str, Any]:  # noqa: A002
        """Loss, weighted by events."""
        with torch.no_grad():
            return {"loss": Weighted(self.loss(rows, labels).item() * len(labels), len(labels))}


def main(folder: str, unit: str, rounds: int) -> None:
    """Run ``rounds`` rounds with every ``unit`` (hospital or patient) as one user."""
    torch.set_num_threads(1)
    about = json.loads((Path(folder) / "facts.json").read_text(encoding="utf-8"))
    users = users_of(Path(folder), unit, about)
    names = list(users)
    training = FederatedDataset(users.__getitem__, get_user_sampler("minimize_reuse", names))
    module = Additive(int(about["width"]))
    mechanism = GaussianMechanism(about["clip_norm"], about["noise_multiplier"])
    backend = SimulatedBackend(
        training_data=training,
        val_data=training,
        postprocessors=[CentrallyAppliedPrivacyMechanism(mechanism)],
    )
    model = PyTorchModel(
        module,
        local_optimizer_create=torch.optim.SGD,
        central_optimizer=torch.optim.SGD(module.parameters(), lr=1.0, momentum=0.9),
    )
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=rounds,
            evaluation_frequency=10 * rounds + 1,  # never: training alone is timed
            train_cohort_size=len(names),
            val_cohort_size=0,
        ),
        backend=backend,
        model=model,
        model_train_params=NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=1.0, local_batch_size=None
        ),
        model_eval_params=NNEvalHyperParams(local_batch_size=None),
        callbacks=[],
    )


def users_of(folder: Path, unit: str, about: dict[str, float]) -> dict[int, Dataset]:
    """Give each user's dense scaled rows and labels; users without events are left out."""
    columns, labels = np.load(folder / "columns.npy"), np.load(folder / "labels.npy").astype(np.float32)
    first = np.load(folder / ("hospitals.npy" if unit == "hospital" else "events_from.npy"))
    rows = np.zeros((len(columns), int(about["width"])), np.float32)
    np.put_along_axis(rows, columns.astype(np.int64), np.float32(about["scale"]), axis=1)
    everything = torch.from_numpy(rows), torch.from_numpy(labels)
    bounds = [(int(a), int(b)) for a, b in pairwise(first) if b > a]
    return {i: Dataset([part[a:b] for part in everything]) for i, (a, b) in enumerate(bounds)}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
