"""Terms of a study, and the plan of one of its rounds: what an operator signs and a hospital checks."""

import hashlib
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np

from wardround.protocol.arrays import Floats32, Numbers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import require
from wardround.protocol.secure_sum.thresholds import Thresholds
from wardround.protocol.terms import checks
from wardround.protocol.terms.evaluation import EvaluationSettings, FairnessSettings, table_size
from wardround.protocol.terms.query import NO_TRAINING, PATIENT_BOUND, QuerySettings, query_size
from wardround.protocol.terms.secure_sum import SecureSumSettings, SumNoise, noise_of_sum
from wardround.protocol.terms.settings import (
    EQUAL,
    ModelSettings,
    PrivacySettings,
    TrainingSettings,
)
from wardround.protocol.text.canonical import fingerprint

ACCOUNTS = ("training", "held_out")
"""The two parts of a hospital's patients: those learned from, and those measured on."""
LONGEST_REPLY_DELAY_SECONDS = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the operator proposes; a hospital's policy may only tighten it.

    noise_multiplier is σ ÷ clip_norm of one step's sum: at one hospital (``local``), or of the
    smallest sum that a lying server can obtain (``secure``). round_noise_multipliers: where rounds differ
    (``privacy.schedule``), that of each, spare ones last; noise_multiplier is then the least of them. Empty where all
    are alike. training.public_patients names every planned hospital.
    A reply leaves the hospital at the first whole multiple of reply_delay_seconds, from its plan's arrival, that is not
    past. simulation marks terms under which seeds are allowed; real hospitals refuse it. expires_at is ISO 8601, UTC.
    evaluation: the noised tables of held-out patients, None where no model of the study is evaluated. module_digest:
    where a real study's model is the parties' own module, what all of them must have alike
    (``protocol.model.own_module``); else empty.
    secure_sum: with ``privacy.noise=secure``, and None without. query: what is asked where no model is trained
    (``protocol.terms.query``); the settings of model and training then stand still, and None in all other studies.
    precondition: the noise that hospitals precondition their gradients for, the standard deviation of a coordinate of
    the mean gradient over all rounds (``protocol.model.precondition``); 0 where they do not.
    """

    study: str
    contract: Contract
    model: ModelSettings
    privacy: PrivacySettings
    training: TrainingSettings
    noise_multiplier: float
    reply_delay_seconds: float = 2.0
    expires_at: str = "2100-01-01T00:00:00+00:00"
    simulation: bool = False
    evaluation: EvaluationSettings | None = None
    fairness: FairnessSettings = field(default_factory=FairnessSettings)
    module_digest: str = ""
    secure_sum: SecureSumSettings | None = None
    round_noise_multipliers: tuple[float, ...] = ()
    query: QuerySettings | None = None
    precondition: float = 0.0

    def __post_init__(self) -> None:
        """Check what no single group of settings can check (``protocol.terms.checks``)."""
        privacy, training, noise = self.privacy, self.training, self.noise_multiplier
        layout, members, summed = self.contract.layout, self.secure_sum, self.secure_sum is not None
        checks.check_texts(self.study, training.public_patients, self.expires_at, self.simulation)
        require(noise > 0, "noise_multiplier", noise, "must be greater than 0")
        require(bool(training.public_patients), "training.public_patients", "{}", "must name every hospital")
        delay, most = self.reply_delay_seconds, LONGEST_REPLY_DELAY_SECONDS
        require(0 <= delay <= most, "reply_delay_seconds", delay, f"must be from 0 to {most:g}")
        checks.check_resolved(privacy, training)
        privacy.check_steps(training)
        line = "must be set with privacy.noise=secure, and left out otherwise"
        require(summed != privacy.mode.alone, "secure_sum", members and "…", line)
        if members is not None:
            members.check_hospitals(self.hospitals, self.simulation)
        checks.check_schedule(self.round_noise_multipliers, privacy.schedule, self.last_round, noise)
        checks.check_plugins(self.model, training, self.module_digest, self.simulation)
        checks.check_robust(training.aggregate, len(self.hospitals))
        checks.check_optimizer(self.model, training)
        if self.model.structure.interactions:
            checks.check_interactions(training, layout)
        checks.check_precondition(self.precondition, training.optimizer, layout.width)
        if self.evaluation is not None:
            last = training.rounds + (self.fairness.mitigation != "none")
            checks.check_evaluation(self.evaluation, training.rounds, last)
            size = table_size(self.contract, self.evaluation)
            checks.check_table(size, self.evaluation.score_bins, summed)
        if self.query is not None:
            self._check_query(self.query)

    def _check_query(self, query: QuerySettings) -> None:
        """One query has one spelling: what is not read stands still, and its table is as long as the terms say."""
        still = (
            ("model", self.model == ModelSettings()),
            ("training", replace(self.training, public_patients={}) == NO_TRAINING),
            ("privacy.clip_norm", self.privacy.clip_norm == PATIENT_BOUND),
            ("privacy.schedule", self.privacy.schedule == EQUAL),
            ("evaluation", self.evaluation is None),
            ("fairness", self.fairness == FairnessSettings()),
            ("secure_sum.spare_slots", self.secure_sum is None or self.secure_sum.spare_slots == 0),
        )
        for key, stands in still:
            require(stands, key, "…", "must be left as it is with a query, which trains no model")
        query.check_contract(self.contract)
        numbers = query_size(self.contract, query)
        checks.check_cells(query.kind, numbers, self.secure_sum is not None)
        if self.secure_sum is not None:
            sums, line = self.secure_sum.parameters, f"must be {numbers}, the cells of the query's table"
            require(sums == numbers, "secure_sum.parameters", sums, line)

    @property
    def hospitals(self) -> tuple[str, ...]:
        """Planned hospitals, in the order of ``training.public_patients``."""
        return tuple(self.training.public_patients)

    @property
    def last_round(self) -> int:
        """The largest number of a training round: spare ones are beyond ``training.rounds``."""
        return self.training.rounds + (self.secure_sum.spare_slots if self.secure_sum else 0)

    def asks_interactions(self, round_number: int) -> bool:
        """Whether hospitals release residuals by pairs of bins in this round, and not gradients: in the last one."""
        return self.model.structure.interactions and round_number == self.training.rounds

    @property
    def gradient_rounds(self) -> int:
        """How many rounds ask for gradients: all but those for mean rows, and the one for interactions."""
        training = self.training
        return training.rounds - training.moment_rounds - self.model.structure.interactions

    @cached_property
    def thresholds(self) -> Thresholds:
        """H, t and q of the study's secure sums; ValueError where it has none."""
        return self._sums.thresholds(len(self.hospitals))

    def multiplier_of(self, round_number: int) -> float:
        """Give the noise multiplier of a training round; ValueError for a number that the terms do not have.

        By the round's number, which is that of its slot in secure sums, and not by how many rounds gave a result: a
        hospital knows the one, and would have to believe the server about the other.
        """
        if not 1 <= round_number <= self.last_round:
            raise ValueError(f"round {round_number}: these terms have rounds 1 to {self.last_round}")
        each = self.round_noise_multipliers
        return each[round_number - 1] if each else self.noise_multiplier

    @property
    def quietest_round(self) -> int:
        """Give the number of a round with the least noise: 1 where all are alike."""
        each = self.round_noise_multipliers
        return each.index(min(each)) + 1 if each else 1

    def update_noise(self, round_number: int) -> SumNoise:
        """Grid and share of noise of a round's sum of updates; ValueError where there are no secure sums."""
        return self.update_noise_at(self.multiplier_of(round_number))

    def update_noise_at(self, noise_multiplier: float) -> SumNoise:
        """Grid and share of noise of a sum of updates with this multiplier."""
        if noise_multiplier not in self._update_noises:
            self._update_noises[noise_multiplier] = noise_of_sum(
                self.privacy.clip_norm, noise_multiplier, self._sums.parameters, self.thresholds
            )
        return self._update_noises[noise_multiplier]

    @cached_property
    def _update_noises(self) -> dict[float, SumNoise]:
        # Kept with the terms and not for the process: the audit breaks m on purpose, and fresh terms must show it.
        return {}

    @cached_property
    def table_noise(self) -> SumNoise:
        """Grid and share of noise of a sum of tables; ValueError where there are no secure sums or no tables."""
        if self.evaluation is None:
            raise ValueError("these terms evaluate nothing")
        size = table_size(self.contract, self.evaluation)
        return noise_of_sum(1.0, self.evaluation.noise_multiplier, size, self.thresholds)

    @property
    def _sums(self) -> SecureSumSettings:
        if self.secure_sum is None:
            raise ValueError("these terms have no secure sums")
        return self.secure_sum

    def hospital_noise_stddev(self, round_number: int) -> float:
        """Standard deviation that one hospital adds to each coordinate of one step's clipped sum in this round."""
        if self.secure_sum is not None:
            return self.update_noise(round_number).stddev
        return self.multiplier_of(round_number) * self.privacy.clip_norm

    @property
    def table_noise_stddev(self) -> float:
        """Standard deviation that one hospital adds to each cell of its tables of held-out patients."""
        if self.secure_sum is not None and self.evaluation is not None:
            return self.table_noise.stddev
        return self.evaluation.noise_multiplier if self.evaluation else 0.0

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical form without the expiry, hex: extending a study does not make it another."""
        plain = terms_to_mapping(self)
        del plain["expires_at"]
        return fingerprint(plain)


def terms_to_mapping(terms: Terms) -> dict[str, object]:
    """Plain data for signing, files and messages; ``terms_from_mapping`` is its inverse."""
    plain: dict[str, object] = {
        "study": terms.study,
        "contract": terms.contract.to_mapping(),
        "model": {"kind": terms.model.kind, "hidden": list(terms.model.hidden)},
        "privacy": asdict(terms.privacy),
        "training": {**asdict(terms.training), "public_patients": dict(terms.training.public_patients)},
        "noise_multiplier": terms.noise_multiplier,
        "reply_delay_seconds": terms.reply_delay_seconds,
        "expires_at": terms.expires_at,
        "simulation": terms.simulation,
        "fairness": asdict(terms.fairness),
        "evaluation": None,
    }
    if terms.evaluation is not None:
        plain["evaluation"] = {**asdict(terms.evaluation), "rounds": list(terms.evaluation.rounds)}
    # Left out where empty: the fingerprints of all other studies do not depend on it.
    if terms.privacy.schedule == EQUAL:
        plain["privacy"] = {key: value for key, value in asdict(terms.privacy).items() if key != "schedule"}
    if terms.round_noise_multipliers:
        plain["round_noise_multipliers"] = list(terms.round_noise_multipliers)
    if terms.module_digest:
        plain["module_digest"] = terms.module_digest
    if terms.precondition:
        plain["precondition"] = terms.precondition
    if terms.query is not None:
        plain["query"] = asdict(terms.query)
    if terms.secure_sum is not None:
        plain["secure_sum"] = {**asdict(terms.secure_sum), "members": dict(terms.secure_sum.members)}
    return plain


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundPlan:
    """What the server asks of one hospital in one round.

    weights: float32 [parameters], in the model's fixed order. ledger_head is the head of the hospital's
    ledger that its last release carried (None before the first). Neither it, signatures nor expiry are
    part of what makes two plans the same. account: whose budget pays, and so what is asked: an update from
    ``training`` patients, or the tables of ``held_out`` ones under these weights. In a study with secure sums, round
    is the slot's number, roster the digest of the roster, hex, and asks what is asked for
    (``protocol.terms.request``: ``update``, ``mean_rows``, ``query``, ``tables``); both are empty in all others, and
    roster in simulations, which have none.
    """

    study: str
    hospital: str
    round: int
    terms_fingerprint: str
    weights: Floats32
    ledger_head: str | None = None
    account: str = "training"
    roster: str = ""
    asks: str = ""

    @cached_property
    def weights_digest(self) -> str:
        """SHA-256 of the weights' bytes, little-endian, hex."""
        # "<f4": the same digest on machines of either byte order, and the bytes that travel.
        return hashlib.sha256(np.ascontiguousarray(self.weights, dtype="<f4").tobytes()).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Release:
    """Bytes that leave a hospital: a noised sum (gradients, mean rows), a noised difference of weights, or tables.

    vector: float32 [parameters], [query_size] of a query, or [table_size] of account ``held_out``, on the public grid;
    under secure sums int64, and in simulations alone, since a real hospital's integers leave it masked
    (``protocol.wire.sum_wire``).
    ledger_head is the head of the hospital's ledger after this release was charged. simulation marks what seeds
    produced.
    """

    study: str
    hospital: str
    round: int
    terms_fingerprint: str
    weights_digest: str
    vector: Numbers = field(repr=False)
    ledger_head: str = ""
    simulation: bool = False
    account: str = "training"
