"""What is attacked, stage by stage, and what the study states for it."""

from collections.abc import Callable, Iterator
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
    """List what can be attacked under these terms; releases of training come first."""
    one = federation.hospitals[:1]
    # A single release of a secure sum is seen where every mask failed, and nowhere else.
    single = MASKS_FAILED if terms.secure_sum else "server"
    stated = epsilon_against(terms, UPDATE, terms.last_round)
    gaussian = terms.training.sampling_rate == 1.0
    share = terms.secure_sum is not None

    def attack(account: str, hospitals: tuple[str, ...] = one, survivors: int = 0) -> Attack:
        return attack_on(federation, terms, account, hospitals, others, survivors)

    words = "one share, masks failed" if share else "all releases, 1 hospital"
    found = [
        AuditStage("share" if share else "releases", words, attack(UPDATE.account), stated[single], gaussian)
    ]
    if share:
        found.append(_sum_stage(terms, federation, attack, stated[SMALLEST_SUM], gaussian))
    if count := len(TABLES.rounds(terms)):
        tables = epsilon_against(terms, TABLES, count)
        found.append(AuditStage("tables", "tables, 1 hospital", attack(TABLES.account), tables[single], True))
    return found


def _sum_stage(
    terms: Terms, federation: Federation, attack: Callable[..., Attack], stated: float, gaussian: bool
) -> AuditStage:
    """Give the smallest sum that a lying server gets: m shares, and its t helpers' own parts taken out."""
    thresholds = terms.thresholds
    honest = federation.hospitals[: thresholds.honest_shares]
    words = f"secure sum, {thresholds.colluding} of {thresholds.hospitals} help the server"
    # A sum that holds m honest hospitals and the helpers alone: what q members were told of it is at least q.
    attacked_sum = attack(UPDATE.account, honest, thresholds.threshold)
    return AuditStage("sums", words, attacked_sum, stated, gaussian)


def findings(listed: list[AuditStage], settings: AttackSettings, seed: int) -> Iterator[AuditFinding]:
    """Attack each stage as it is, then, where asked for, one of them under each mutation that applies.

    That one is the stage for which a study's ε is stated: single releases, or the secure sum.
    """
    for stage in listed:
        yield attacked(stage, settings, seed)
    broken = next((stage for stage in listed if stage.key == "sums"), listed[0])
    for mutation in MUTATIONS if settings.mutations == "all" else ():
        if mutation.applies(broken.attack.terms):
            yield attacked(broken, settings, seed, mutation)


def attacked(
    stage: AuditStage, settings: AttackSettings, seed: int, mutation: Mutation | None = None
) -> AuditFinding:
    """Attack one stage, by seeds that no study of a person's own is likely to have."""
    terms, first = stage.attack.terms, (seed + 1) << 64
    delta = terms.privacy.delta
    attack = mutation.used(stage.attack) if mutation else stage.attack
    with mutation.broken(terms) if mutation else nullcontext():
        without = attack.scores(False, first, settings.runs)
        with_canary = attack.scores(True, first + settings.runs, settings.runs)
    return AuditFinding(stage, measure(without, with_canary, delta, settings.confidence), delta, mutation)
