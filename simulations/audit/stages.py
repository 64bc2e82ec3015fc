"""What is attacked, stage by stage, and what the study states for it."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from wardround.conf.audited import AttackSettings
from wardround.protocol.terms.cost import MASKS_FAILED, SMALLEST_SUM, epsilon_against
from wardround.protocol.terms.request import TABLES, UPDATE, RequestKind
from wardround.protocol.terms.terms import Terms
from wardround.simulations.audit.attack import Attack, attack_on
from wardround.simulations.audit.bounds import Interval, epsilon_of
from wardround.simulations.audit.measure import AttackOutcome, measure
from wardround.simulations.audit.mutations import MUTATIONS, Mutation
from wardround.simulations.audit.one_run import OneRunFinding, one_run_audit
from wardround.simulations.audit.smallest_sum import smallest_honest_set
from wardround.simulations.audit.training import Studies, WeightsAttack
from wardround.simulations.federation.federation import Federation


@dataclass(frozen=True, eq=False)
class AuditStage:
    """One place at which an adversary looks. stated: the ε that the study states there, at the terms' δ.

    gaussian: whether all that is seen is Gaussian, so that a bound on μ is a bound on ε (no Poisson sample).
    """

    key: str
    words: str
    attack: Attack | WeightsAttack
    stated: float
    gaussian: bool

    @property
    def in_one_run(self) -> bool:
        """Whether one run with many canaries can tell: of training, all Gaussian, in one step a round."""
        attack = self.attack
        if not isinstance(attack, Attack) or attack.account != UPDATE.account:
            return False
        return self.gaussian and attack.terms.training.local_steps == 1

    @property
    def by_weights(self) -> bool:
        """Whether weights are seen: there a round's noise is in later rounds too."""
        return isinstance(self.attack, WeightsAttack)


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
    gaussian = terms.training.sampling_rate == 1.0
    found = [*_released(federation, terms, others, UPDATE, terms.last_round, gaussian)]
    if terms.training.optimizer != "newton":
        found += _trained(federation, terms, others, gaussian)
    if count := len(TABLES.rounds(terms)):
        found += _released(federation, terms, others, TABLES, count, True)
    return found


def _released(
    federation: Federation, terms: Terms, others: int, asked: RequestKind, count: int, gaussian: bool
) -> Iterator[AuditStage]:
    """Give the stages at which releases of one account are seen: one hospital's, and the smallest sum of several."""
    tables = asked is TABLES
    stated = epsilon_against(terms, asked, count)

    def attack(hospitals: tuple[str, ...], survivors: int = 0) -> Attack:
        return attack_on(federation, terms, asked.account, hospitals, others, survivors)

    one = attack(federation.hospitals[:1])
    if terms.secure_sum is None:
        key, words = ("tables", "tables, 1 hospital") if tables else ("releases", "all releases, 1 hospital")
        yield AuditStage(key, words, one, stated["server"], gaussian)
        return
    # A single release of a secure sum is seen where every mask failed, and nowhere else.
    key, words = ("table_share", "tables, masks failed") if tables else ("share", "one share, masks failed")
    yield AuditStage(key, words, one, stated[MASKS_FAILED], gaussian)
    thresholds = terms.thresholds
    # Found by a flow and not by the formula that the noise is made for: a wrong formula is then refuted.
    honest = smallest_honest_set(thresholds.hospitals, thresholds.colluding, thresholds.threshold)
    # A sum that holds these honest hospitals and the helpers: what q members were told of it is at least q.
    smallest = attack(federation.hospitals[:honest], thresholds.threshold)
    words = f"sum of tables, {thresholds.colluding}" if tables else f"secure sum, {thresholds.colluding}"
    words = f"{words} of {thresholds.hospitals} help the server"
    yield AuditStage("table_sums" if tables else "sums", words, smallest, stated[SMALLEST_SUM], gaussian)


def _trained(federation: Federation, terms: Terms, others: int, gaussian: bool) -> list[AuditStage]:
    """Give the stages at which weights are seen: by whoever reads the model, with the helpers that the ε supposes.

    Under local noise all other hospitals are silent: what is left is the least noise that a model can have. Not under
    newton, which filters the noise of each run by a matrix of its own: slow, and the attack would be weak.
    """
    honest, helpers = 1, 0
    if terms.secure_sum is not None:
        honest, helpers = terms.thresholds.shares_for_reader, terms.thresholds.colluding
    names = federation.hospitals
    releases = attack_on(federation, terms, UPDATE.account, names[:honest], others)
    studies = Studies(releases=releases, helpers=names[honest : honest + helpers])
    stated = epsilon_against(terms, UPDATE, terms.last_round)["model"]
    return [
        AuditStage(key, words, WeightsAttack(studies=studies, final=key == "model"), stated, gaussian)
        for key, words in (("weights", "weights of all rounds"), ("model", "the final model alone"))
    ]


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


def one_runs(listed: list[AuditStage], settings: AttackSettings, seed: int) -> Iterator[OneRunFinding]:
    """Audit by one run each stage that can be, as it is; none where ``canaries`` is 0."""
    for stage in listed if settings.canaries else ():
        if stage.in_one_run and isinstance(stage.attack, Attack):
            yield one_run_audit(
                stage.attack, stage.words, stage.stated, settings.canaries, settings.confidence, seed
            )


def attacked(
    stage: AuditStage, settings: AttackSettings, seed: int, mutation: Mutation | None = None
) -> AuditFinding:
    """Attack one stage, by seeds that no study of a person's own is likely to have."""
    terms, first = stage.attack.terms, (seed + 1) << 64
    delta = terms.privacy.delta
    attack = stage.attack
    if mutation and isinstance(attack, Attack):
        attack = mutation.used(attack)
    with mutation.broken(terms) if mutation else nullcontext():
        without = attack.scores(False, first, settings.runs)
        with_canary = attack.scores(True, first + settings.runs, settings.runs)
    outcome = measure(without, with_canary, delta, settings.confidence, coloured=stage.by_weights)
    return AuditFinding(stage, outcome, delta, mutation)
