"""What is attacked, stage by stage, and what the study states for it."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from wardround.conf.audited import AttackSettings
from wardround.protocol.terms.cost import MASKS_FAILED, SMALLEST_SUM, epsilon_against
from wardround.protocol.terms.request import TABLES, UPDATE
from wardround.protocol.terms.terms import Terms
from wardround.simulations.audit.attack import Attack, attack_on
from wardround.simulations.audit.bounds import Interval, epsilon_of
from wardround.simulations.audit.measure import AttackOutcome, measure
from wardround.simulations.audit.mutations import MUTATIONS, Mutation
from wardround.simulations.federation.federation import Federation


@dataclass(frozen=True, eq=False)
class AuditStage:
    """One place at which an adversary looks. stated: the ε that the study states there, at the terms' δ.

    gaussian: whether all that is seen is Gaussian, so that a bound on μ is a bound on ε (no Poisson sample).
    """

    key: str
    words: str
    attack: Attack
    stated: float
    gaussian: bool


@dataclass(frozen=True, eq=False)
class AuditFinding:
    """What the attack at one stage found. mutation: how the code was broken, None for the code as it is."""

    stage: AuditStage
    measured: AttackOutcome
    delta: float
    mutation: Mutation | None = None

    @property
    def epsilon_bound(self) -> float:
        """The lower bound on ε: by μ where all is Gaussian, else the one that supposes nothing."""
        if not self.stage.gaussian:
            return self.measured.epsilon_any
        return max(epsilon_of(self.measured.parameter_bound, self.delta), self.measured.epsilon_any)

    @property
    def estimate(self) -> Interval | None:
        """The estimate of ε with its interval; None where scores are not Gaussian, and it would mean nothing."""
        return self.measured.epsilon(self.delta) if self.stage.gaussian else None

    @property
    def holds(self) -> bool:
        """Whether the stated ε is not refuted."""
        return self.epsilon_bound <= self.stage.stated


def stages(federation: Federation, terms: Terms, others: int) -> list[AuditStage]:
    """List what can be attacked under these terms; the releases of one hospital come first."""
    one = federation.hospitals[:1]
    # A single release of a secure sum is seen where every mask failed, and nowhere else.
    single, summed = (MASKS_FAILED, SMALLEST_SUM) if terms.secure_sum else ("server", "model")
    stated = epsilon_against(terms, UPDATE, terms.last_round)
    gaussian = terms.training.sampling_rate == 1.0

    def attack(account: str, hospitals: tuple[str, ...]) -> Attack:
        return attack_on(federation, terms, account, hospitals, others)

    found = [
        AuditStage(
            "releases",
            "all releases, 1 hospital",
            attack(UPDATE.account, one),
            stated[single],
            gaussian,
        )
    ]
    if not terms.privacy.mode.alone:
        every = attack(UPDATE.account, federation.hospitals)
        found.append(
            AuditStage(
                "sums",
                "sums over hospitals",
                every,
                stated[summed],
                gaussian,
            )
        )
    if count := len(TABLES.rounds(terms)):
        tables = epsilon_against(terms, TABLES, count)
        held_out = attack(TABLES.account, one)
        found.append(AuditStage("tables", "tables, 1 hospital", held_out, tables[single], True))
    return found


def findings(listed: list[AuditStage], settings: AttackSettings, seed: int) -> Iterator[AuditFinding]:
    """Attack each stage as it is, then, where asked for, its first stage under each mutation that applies."""
    for stage in listed:
        yield attacked(stage, settings, seed)
    terms = listed[0].attack.terms
    for mutation in MUTATIONS if settings.mutations == "all" else ():
        if mutation.applies(terms):
            yield attacked(listed[0], settings, seed, mutation)


def attacked(
    stage: AuditStage, settings: AttackSettings, seed: int, mutation: Mutation | None = None
) -> AuditFinding:
    """Attack one stage, by seeds that no study of a person's own is likely to have."""
    terms, first = stage.attack.terms, (seed + 1) << 64
    delta = terms.privacy.delta
    with mutation.broken(terms) if mutation else nullcontext():
        without = stage.attack.scores(False, first, settings.runs)
        with_canary = stage.attack.scores(True, first + settings.runs, settings.runs)
    return AuditFinding(stage, measure(without, with_canary, delta, settings.confidence), delta, mutation)
