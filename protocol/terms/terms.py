"""Terms of a study, and the plan of one of its rounds: what an operator signs and a hospital checks."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from wardround.protocol import plugins
from wardround.protocol.arrays import Floats32, Numbers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.privacy.noise import AUTO
from wardround.protocol.secure_sum.thresholds import Thresholds
from wardround.protocol.terms.evaluation import EvaluationSettings, FairnessSettings, table_size
from wardround.protocol.terms.query import NO_TRAINING, PATIENT_BOUND, QuerySettings, query_size
from wardround.protocol.terms.secure_sum import SecureSumSettings, SumNoise, noise_of_sum
from wardround.protocol.terms.settings import (
    BY_RULE,
    EQUAL,
    ROBUST,
    ModelSettings,
    PrivacySettings,
    TrainingSettings,
)
from wardround.protocol.text.bounds import (
    CLIP_NORMS,
    DELTAS,
    LARGEST_SUMMED,
    LARGEST_VECTOR,
    MOST_INTERACTING,
    NOISE_MULTIPLIERS,
    SAMPLING_RATES,
)
from wardround.protocol.text.canonical import fingerprint
from wardround.protocol.text.section import shown
from wardround.protocol.text.text import ALLOWED_IN_NAMES, checked_name, is_digest, is_line, is_name

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

    def __post_init__(self) -> None:
        """Check what no single group of settings can check."""
        self._check_texts()
        require(
            self.noise_multiplier > 0, "noise_multiplier", self.noise_multiplier, "must be greater than 0"
        )
        require(
            bool(self.training.public_patients), "training.public_patients", "{}", "must name every hospital"
        )
        delay, most = self.reply_delay_seconds, LONGEST_REPLY_DELAY_SECONDS
        require(0 <= delay <= most, "reply_delay_seconds", delay, f"must be from 0 to {most:g}")
        require(self.privacy.noise != AUTO, "privacy.noise", AUTO, "must be resolved in terms")
        require(self.privacy.schedule != AUTO, "privacy.schedule", AUTO, "must be resolved in terms")
        require(self.training.rounds != BY_RULE, "training.rounds", BY_RULE, "must be resolved in terms")
        require(self.privacy.clip_norm != BY_RULE, "privacy.clip_norm", BY_RULE, "must be resolved in terms")
        self.privacy.check_steps(self.training)
        self._check_secure_sum()
        self._check_schedule()
        self._check_plugins()
        if self.training.aggregate != "sum":
            self._check_robust()
        self._check_optimizer()
        if self.evaluation is not None:
            self._check_evaluation(self.evaluation)
        if self.query is not None:
            self._check_query(self.query)

    def _check_texts(self) -> None:
        """Names that go into files, logs and screens. A simulation's hospitals may come from a table's column.

        There "JARDIM CAMBURI" names one, and nobody's home; its own machine prints it. Real hospitals have names.
        """
        checked_name(self.study, "study")
        fits = is_line if self.simulation else is_name
        for hospital in self.training.public_patients:
            require(fits(hospital), "training.public_patients", shown(hospital), ALLOWED_IN_NAMES)
        require(
            is_line(self.expires_at, 40),
            "expires_at",
            shown(self.expires_at),
            "must be a date and time in UTC",
        )

    def _check_plugins(self) -> None:
        """Refuse import paths in a real study: its terms carry words, which each installation maps for itself."""
        named = {"aggregate": self.training.aggregate, "optimizer": self.training.optimizer}
        for role, name in {**named, "model": self.model.kind}.items():
            allowed = "an import path is for simulations; terms of a real study carry words alone"
            require(self.simulation or not plugins.is_path(name), plugins.ROLES[role], shown(name), allowed)
        own = self.model.structure.own_module and not self.simulation
        line = (
            "must be the module's digest in a real study of an own module" if own else "must be left out here"
        )
        fits = is_digest(self.module_digest) if own else self.module_digest == ""
        require(fits, "module_digest", shown(self.module_digest), line)

    def _check_secure_sum(self) -> None:
        asked = self.secure_sum
        line = "must be set with privacy.noise=secure, and left out otherwise"
        require((asked is None) == self.privacy.mode.alone, "secure_sum", asked and "…", line)
        if asked is not None:
            asked.check_hospitals(self.hospitals, self.simulation)

    def _check_schedule(self) -> None:
        """Every round has its noise, and the one number that all limits are held against is the least of them."""
        each, key = self.round_noise_multipliers, "round_noise_multipliers"
        if not each:
            return
        schedule = self.privacy.schedule
        require(schedule != EQUAL, key, f"{len(each)} numbers", f"must be left out with schedule={EQUAL}")
        line = f"must be {self.last_round}, one for each round and spare round"
        require(len(each) == self.last_round, key, f"{len(each)} numbers", line)
        # A multiplier that is no number has no minimum, and equals nothing.
        line = "must be the least of round_noise_multipliers"
        least = min(each) if all(0 < one < math.inf for one in each) else math.nan
        require(self.noise_multiplier == least, "noise_multiplier", self.noise_multiplier, line)

    def _check_optimizer(self) -> None:
        training = self.training
        require(training.optimizer != "auto", "training.optimizer", "auto", "must be resolved in terms")
        if training.optimizer == "newton":
            kind, rounds = self.model.kind, training.moment_rounds
            convex = self.model.structure.convex
            require(convex, "model.kind", kind, "must be additive with training.optimizer=newton")
            require(rounds >= 1, "training.moment_rounds", rounds, "must be at least 1 in terms with newton")
        if self.model.structure.interactions:
            self._check_interactions()

    def _check_interactions(self) -> None:
        """Interactions are read from the last round by the shares of bins that newton's first round told."""
        training = self.training
        line = "must be newton with model.kind=interactions"
        require(training.optimizer == "newton", "training.optimizer", training.optimizer, line)
        rate, line = training.sampling_rate, "must be 1 with model.kind=interactions"
        require(rate == 1, "training.sampling_rate", rate, line)
        least = training.moment_rounds + 2
        line = f"must be at least {least} with model.kind=interactions: mean rows, gradients, interactions"
        require(training.rounds >= least, "training.rounds", training.rounds, line)
        layout = self.contract.layout
        fields, line = (
            len(layout.interacting),
            f"must be at most {MOST_INTERACTING} with model.kind=interactions",
        )
        require(fields <= MOST_INTERACTING, "features with few bins", fields, line)
        # Only now: pairs are as many as the square of the fields.
        pairs, line = (
            len(layout.interactions),
            "must be at least 1 with model.kind=interactions; use additive",
        )
        require(pairs >= 1, "pairs of features with few bins", pairs, line)

    def _check_robust(self) -> None:
        """Check that there are releases enough: the robust rules need an odd one out."""
        rule = self.training.aggregate
        count, enough = len(self.hospitals), 3 if rule in ROBUST else 1
        line = f"needs at least {enough} hospitals, here {count}; use sum"
        require(count >= enough, "training.aggregate", rule, line)

    def _check_evaluation(self, evaluation: EvaluationSettings) -> None:
        last, rounds = self.training.rounds + (self.fairness.mitigation != "none"), list(evaluation.rounds)
        require(
            bool(rounds) and rounds[-1] <= last,
            "evaluation.rounds",
            rounds,
            f"must be from 1 to {self.training.rounds} (one more is the model as mitigated)",
        )
        numbers = table_size(self.contract, evaluation)
        most = LARGEST_SUMMED if self.secure_sum else LARGEST_VECTOR
        line = f"makes tables of {numbers} numbers, must be at most {most}; use fewer bins or groups"
        require(numbers <= most, "evaluation.score_bins", evaluation.score_bins, line)
        multiplier = evaluation.noise_multiplier
        require(multiplier > 0, "evaluation.noise_multiplier", multiplier, "must be greater than 0")

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
        most = LARGEST_SUMMED if self.secure_sum else LARGEST_VECTOR
        line = f"has {numbers} cells, must be at most {most}; use a contract with fewer groups"
        require(numbers <= most, "query", query.kind, line)
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
    if terms.query is not None:
        plain["query"] = asdict(terms.query)
    if terms.secure_sum is not None:
        plain["secure_sum"] = {**asdict(terms.secure_sum), "members": dict(terms.secure_sum.members)}
    return plain


def terms_from_mapping(plain: Mapping[str, object]) -> Terms:
    """Read terms from plain data; anything that does not fit is one ConfigurationError."""
    try:
        fields: dict[str, Any] = dict(plain)
        model = dict(fields.pop("model"))
        model["hidden"] = tuple(model.get("hidden", ()))
        evaluation = fields.pop("evaluation", None)
        secure_sum = fields.pop("secure_sum", None)
        query = fields.pop("query", None)
        # As for `rounds` below: 2 becomes 2.0 here, and the canonical form then shows it.
        each = tuple(float(one) for one in fields.pop("round_noise_multipliers", ()))
        return Terms(
            contract=contract_from_mapping(fields.pop("contract")),
            model=ModelSettings(**model),
            privacy=PrivacySettings(**fields.pop("privacy")),
            training=TrainingSettings(**fields.pop("training")),
            fairness=FairnessSettings(**fields.pop("fairness", {})),
            evaluation=None if evaluation is None else _evaluation(evaluation),
            secure_sum=None if secure_sum is None else _secure_sum(secure_sum),
            query=None if query is None else QuerySettings(**query),
            round_noise_multipliers=each,
            **fields,
        )
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        raise ConfigurationError(f"terms: not of the expected form ({type(error).__name__})") from error


def _evaluation(plain: Mapping[str, Any]) -> EvaluationSettings:
    # 2.5 becomes 2 here; in signed terms the canonical form, written anew, then shows it (`signed_terms`).
    rounds = tuple(int(number) for number in plain["rounds"])
    return EvaluationSettings(**{**plain, "rounds": rounds})


def _secure_sum(plain: Mapping[str, Any]) -> SecureSumSettings:
    members = dict(plain["members"])
    # As for `rounds` above: what is not of its type becomes so, and the canonical form then shows it.
    keys = {str(hospital): str(key) for hospital, key in members.items()}
    counts = {name: int(value) for name, value in plain.items() if name != "members"}
    return SecureSumSettings(**counts, members=keys)


def require_countable(terms: Terms) -> None:
    """Refuse numbers at which accounting, noise or the ledger would crash before any clause could refuse."""
    bounded = [
        ("noise_multiplier", terms.noise_multiplier, NOISE_MULTIPLIERS),
        ("training.sampling_rate", terms.training.sampling_rate, SAMPLING_RATES),
        ("privacy.clip_norm", terms.privacy.clip_norm, CLIP_NORMS),
        ("privacy.delta", terms.privacy.delta, DELTAS),
        *(("round_noise_multipliers", one, NOISE_MULTIPLIERS) for one in terms.round_noise_multipliers),
    ]
    if terms.evaluation is not None:
        noise = terms.evaluation.noise_multiplier
        bounded.append(("evaluation.noise_multiplier", noise, NOISE_MULTIPLIERS))
    for key, value, (least, most) in bounded:
        require(least <= value <= most, key, value, f"must be from {least:g} to {most:g} in terms")


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
