"""Who is selected under a model whose groups have thresholds of their own (``fairness.mitigation`` of its study).

The thresholds belong to the shared model's scores: that is what the study's evaluation measured. A hospital's
personal part changes a probability, never who is selected.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Booleans, Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model_file import StoredModel
from wardround.protocol.text.plain import read_json

_LARGEST = 2**22  # bytes of all thresholds


@dataclass(frozen=True, eq=False)
class Selection:
    """From which logit an event is selected. common: of all; distances: by attribute, float64 [groups], to it."""

    common: float
    distances: Mapping[str, Floats]

    def of(self, contract: Contract, cohort: Cohort, logits: Floats) -> Booleans:
        """Tell of each event whether it is selected. logits: float64 [events], of the shared model."""
        columns = [field.name for field in contract.layout.features]
        # In log-odds the groups' distances add up; on probabilities they could leave 0 to 1.
        least = np.full(cohort.event_count, self.common)
        for attribute, distance in self.distances.items():
            least += distance[cohort.bins[:, columns.index(attribute)]]
        return np.asarray(logits >= least)


def selection_of(stored: StoredModel, contract: Contract) -> Selection | None:
    """Read a model file's thresholds, None where it has none; ConfigurationError where they do not fit the groups."""
    text = stored.facts.get("group_thresholds")
    if text is None:
        return None
    try:
        thresholds = read_json(text.encode(), _LARGEST)
        common = _logit(float(stored.facts["selection_threshold"]))
        labels = {
            field.name: field.labels for field in contract.layout.features if field.name in contract.groups
        }
        distances = {
            attribute: np.array([_logit(float(groups[label])) - common for label in labels[attribute]])
            for attribute, groups in thresholds.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            "model: its group_thresholds do not fit its contract's groups; ask the operator for the file again"
        ) from error
    return Selection(common, distances)


def _logit(probability: float) -> float:
    if not 0 < probability < 1:
        raise ValueError("a threshold lies between 0 and 1")
    return math.log(probability / (1 - probability))
