"""Patients as Opacus wants them: one item of a batch is one patient ``[K, width]``, with a mask."""

import numpy as np
import torch
from torch import nn

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Booleans
from wardround.protocol.contract.layout import Layout
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.design import dense_rows


class PatientBatch:
    """Patients, padded: rows [patients, K, width], labels and shares [patients, K].

    shares is what an event counts in its patient's loss (``Cohort.event_shares``), and 0 where there is no event: mask
    and weighted mean in one.
    """

    def __init__(self, rows: torch.Tensor, labels: torch.Tensor, shares: torch.Tensor) -> None:
        """Take tensors as they are; ``pad_patients`` makes them."""
        self.rows, self.labels, self.shares = rows, labels, shares

    def __len__(self) -> int:
        """Give the number of patients."""
        return len(self.rows)

    def __repr__(self) -> str:
        """Show nothing of patients."""
        return "PatientBatch(…)"

    def only(self, chosen: torch.Tensor) -> "PatientBatch":
        """Keep the chosen patients (bool [patients])."""
        return PatientBatch(self.rows[chosen], self.labels[chosen], self.shares[chosen])

    def losses(self, logits: torch.Tensor) -> torch.Tensor:
        """Logistic loss [patients]: each patient's events by their shares; logits: [patients, K]."""
        if logits.shape != self.labels.shape:
            raise flattened(len(logits), len(self))
        each = nn.functional.binary_cross_entropy_with_logits(logits, self.labels, reduction="none")
        return (each * self.shares).sum(dim=1)


def pad_patients(layout: Layout, cohort: Cohort, dtype: torch.dtype = torch.float64) -> PatientBatch:
    """Pad every patient to the largest number of events, by their own first event, which then counts nothing.

    By rows of zeros, a module that divides by a row's length would give those patients no number who have fewer
    events than somebody else.
    """
    counts = cohort.events_per_patient
    slots: Booleans = np.arange(int(counts.max(initial=1))) < counts[:, np.newaxis]
    rows, labels = np.zeros((*slots.shape, layout.width)), np.zeros(slots.shape)
    rows[slots], labels[slots] = dense_rows(layout, cohort), cohort.labels
    np.copyto(rows, rows[:, :1], where=~slots[:, :, np.newaxis])
    shares = np.zeros(slots.shape)
    shares[slots] = cohort.event_shares
    return PatientBatch(*(torch.tensor(array, dtype=dtype) for array in (rows, labels, shares)))


def flattened(found: int, patients: int) -> ConfigurationError:
    """Say that gradients per event pass for gradients per patient."""
    return ConfigurationError(
        f"model: gradients of {found} items for {patients} patients (keep the patient dimension first in "
        f"every layer: flattening events would protect events, not patients)"
    )
