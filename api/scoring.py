"""A trained model and its contract: probabilities for a table, and scores as a hospital sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from scipy.special import expit

from wardround.client.connectors.source import Tables
from wardround.client.outreach.score import every_event
from wardround.client.outreach.score import score as score_tables
from wardround.conf.compose import build
from wardround.conf.compose import read_contract as read_contract_file
from wardround.protocol.contract.contract import HOSPITAL_COLUMN, Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import TableError
from wardround.protocol.model.model import predict_logits
from wardround.protocol.model.model_file import StoredModel, model_bytes
from wardround.protocol.privacy.randomness import derive_key
from wardround.simulations.federation.datasets import split_by_hospital
from wardround.simulations.federation.federation import day_after_last
from wardround.simulations.population.draw import PopulationSettings, draw_population

_KEY = derive_key("scores of a simulation")
"""Which patients are held out changes no score of a shared model, so that any key will do."""


@dataclass(frozen=True, eq=False)
class Model:
    """A study's shared model with the contract that says what it reads; ``study.model`` gives one.

    >>> import wardround
    >>> study = wardround.simulate("experiment=tiny")
    >>> study.model.kind
    'additive'
    """

    contract: Contract
    stored: StoredModel = field(repr=False)

    @property
    def kind(self) -> str:
        """Which model it is: additive, interactions, mlp, wide_deep."""
        return self.stored.model.kind

    @property
    def weights(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """float64 [parameters], a copy."""
        return np.array(self.stored.weights)

    def predict(
        self,
        messages: pl.DataFrame,
        *,
        patients: pl.DataFrame | None = None,
        consents: pl.DataFrame | None = None,
        as_of: datetime | None = None,
    ) -> pl.Series:
        """Give each message's probability of engagement: float64 [rows of ``messages``], in their order.

        Null where the gate sets the message or its patient aside, as it does in training: consent, purpose,
        retention, what cannot be read. as_of: the time at which consent and outcomes are looked at; None for
        two days after the last outcome, when all are known. Where ``messages`` has the contract's hospital
        column, a patient's history is that at one hospital. TableError where a column is missing.

        >>> import wardround
        >>> model = wardround.simulate("experiment=tiny").model
        >>> tables = wardround.draw_tables(seed=1, patients=600, messages=2000, hospitals=3, smallest=50, largest=400)
        >>> found = model.predict(tables.messages, patients=tables.patients, consents=tables.consents)
        >>> found.len(), bool(0 < found.drop_nulls().mean() < 1)
        (2000, True)
        """
        tables = _tables(self.contract, messages, patients, consents)
        now = as_of or day_after_last(tables, self.contract)
        found = np.full(messages.height, np.nan)
        for cohort in every_event(tables, self.contract, _KEY, now):
            logits = predict_logits(self.stored.model, self.contract.layout, self.stored.weights, cohort)
            found[cohort.rows] = expit(logits)
        return pl.Series("probability", found).fill_nan(None)

    def save(self, path: Path | str) -> None:
        """Write the model as safetensors: arrays and text, nothing that runs.

        >>> import tempfile, wardround
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     wardround.simulate("experiment=tiny").model.save(f"{folder}/model.safetensors")
        """
        content = model_bytes(self.contract, self.stored.model, self.stored.weights, self.stored.facts)
        Path(path).write_bytes(content)


def score(
    model: Model,
    messages: pl.DataFrame,
    *,
    patients: pl.DataFrame | None = None,
    consents: pl.DataFrame | None = None,
    as_of: datetime | None = None,
) -> pl.DataFrame:
    """Score messages as a hospital does: known patients first, with reasons; whom the gate sets aside is not there.

    Columns: row (position in ``messages``), patient_known, probability (six digits), selected (where the model
    has thresholds), reason_1 … (additive model). TableError where a column is missing.

    A real hospital scores by ``wardround-hospital score``, which checks who signed the model, too.

    >>> import wardround
    >>> model = wardround.simulate("experiment=tiny").model
    >>> tables = wardround.draw_tables(patients=600, messages=2000, hospitals=3, smallest=50, largest=400)
    >>> scores = wardround.score(model, tables.messages, patients=tables.patients, consents=tables.consents)
    >>> scores.columns[:4]
    ['row', 'patient_known', 'probability', 'reason_1']
    """
    tables = _tables(model.contract, messages, patients, consents)
    now = as_of or day_after_last(tables, model.contract)
    return score_tables(tables, model.contract, model.stored, _KEY, now).frame


def read_contract(source: Path | str | Mapping[str, object]) -> Contract:
    """Read a feature contract (``docs/contract.md``) from its YAML file, or from the same as a mapping.

    ConfigurationError or ContractError, one line, where it cannot be read or contradicts itself.

    >>> import importlib.resources, wardround
    >>> shipped = importlib.resources.files("wardround.conf") / "contract" / "noshow.yaml"
    >>> wardround.read_contract(str(shipped)).groups
    ('sex', 'age')
    """
    if isinstance(source, Mapping):
        return contract_from_mapping(source)
    return read_contract_file(Path(source), "contract")


def draw_tables(*, seed: int = 0, **sizes: object) -> Tables:
    """Invent hospitals with their patients: messages, patients and consents, each with a column ``hospital``.

    sizes: the keys of ``data=synthetic`` (``hospitals``, ``patients``, ``messages``, …). The tables are those of
    ``simulate("data=synthetic", seed=seed)``. ConfigurationError for an unknown key or a number out of range.

    >>> import wardround
    >>> wardround.draw_tables(hospitals=2, patients=100, messages=300, smallest=40, largest=60).messages.height
    300
    """
    drawn = draw_population(build(PopulationSettings, sizes, "data"), seed)
    return Tables(drawn.messages, drawn.patients, drawn.consents)


def _tables(
    contract: Contract,
    messages: pl.DataFrame,
    patients: pl.DataFrame | None,
    consents: pl.DataFrame | None,
) -> Tables:
    if not isinstance(messages, pl.DataFrame):
        raise TableError(
            f"messages: {type(messages).__name__}, must be a polars DataFrame; use polars.from_pandas"
        )
    if contract.hospital in messages.columns and HOSPITAL_COLUMN not in messages.columns:
        messages = split_by_hospital(messages, contract.hospital)
    if contract.label.column not in messages.columns:  # messages to come have no outcome
        messages = messages.with_columns(pl.lit(None, pl.String).alias(contract.label.column))
    drawn = contract.propensity
    if (
        drawn is not None and drawn.column not in messages.columns
    ):  # it says how to learn, and nothing is learned here
        messages = messages.with_columns(pl.lit(None, pl.Float64).alias(drawn.column))
    return Tables(messages, patients, consents)
