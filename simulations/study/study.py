"""One simulated study, told once: tables → terms → private rounds → comparison → files."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

from wardround.client.round.answer_request import answer_request
from wardround.client.round.ward import unmasked
from wardround.client.train.check_closed_form import check_closed_form
from wardround.client.train.prepared import MEMORY_BYTES
from wardround.conf.compose import settings_to_mapping
from wardround.conf.settings import StudySettings
from wardround.protocol.errors import Refusal
from wardround.protocol.privacy.accounting import compose_epsilon
from wardround.protocol.terms.cost import training_events
from wardround.protocol.terms.request import TABLES, UPDATE
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.protocol.text.say import say
from wardround.server.algorithm.interactions import why_additive
from wardround.server.algorithm.propose import propose
from wardround.server.algorithm.rounds import OnRound, RoundState, RoundSummary, finished, reported_weights
from wardround.server.algorithm.screen import NoRelease
from wardround.server.algorithm.weight_error import posterior_factor
from wardround.server.evaluation.assess import (
    Ask,
    EvaluationResult,
    Measure,
    assess,
    evaluate_round,
    measuring,
)
from wardround.server.evaluation.evaluation import due
from wardround.simulations.federation.encoded_cache import load_cached
from wardround.simulations.federation.entry_store import store_of
from wardround.simulations.federation.federation import OPERATOR, Federation
from wardround.simulations.federation.in_process import Answer
from wardround.simulations.federation.in_process import run as run_in_process
from wardround.simulations.federation.masked import MaskedSums
from wardround.simulations.measures.held_out import HeldOutScore
from wardround.simulations.measures.memory import peak_mb
from wardround.simulations.measures.one_thread import one_thread
from wardround.simulations.outreach.engagement import check_error_known, study_engagement
from wardround.simulations.report.progress import Watcher, watch
from wardround.simulations.report.run_files import RunFiles, write_run
from wardround.simulations.report.summary import Results, RoundRow
from wardround.simulations.report.table import print_run
from wardround.simulations.report.trackers import record, trackers_of
from wardround.simulations.study.comparison import Contest, compare, shared_model_alone
from wardround.simulations.study.privacy_facts import privacy_facts


def run(settings: StudySettings) -> RunFiles:
    """Run the study, leave its files in ``settings.output_dir``, and print its table.

    Errors: those of ``protocol.errors``; nothing is written then.
    """
    trackers = trackers_of(settings)
    results = conduct(settings)
    files = write_run(results, settings.output_dir, settings.report)
    print_run(results, files)
    say(*record(trackers, settings.output_dir))
    return files


def conduct(settings: StudySettings) -> Results:
    """Run the study and give what it found; nothing is written and nothing printed but the progress asked for.

    Errors: those of ``protocol.errors``.
    """
    with one_thread("blas"):
        return _conducted(settings)


def _conducted(settings: StudySettings) -> Results:
    started = time.perf_counter()
    federation = load_cached(settings)
    terms = simulated_terms(settings, federation)
    check_error_known(settings, terms)
    if terms.model.structure.own_module:
        # Before anything is learned: a module in which patients meet would void the guarantee without any error.
        check_closed_form(terms.model, settings.contract.layout, settings.contract.events_per_patient)
    memory_bytes = settings.federation.memory_mb << 20
    loaded = time.perf_counter()
    with watch(settings.report.progress, terms) as watcher:
        answer = answering(federation, terms, memory_bytes)
        sums = masked_sums(settings, terms)
        measure = sums.measuring(asking(answer)) if sums else measuring(terms, asking(answer))
        diary = Diary(federation, terms, watcher, measure, memory_bytes)
        state = train(settings, federation, terms, answer, diary.note, sums)
        today = datetime.now(UTC).date()
        assessment = assess(terms, state, measure, settings.release_decision, today, diary.findings)
        weights, store = assessment.weights, store_of(settings.federation)
        contest = Contest(federation, terms, weights, settings.personalization.kind, memory_bytes, store)
        if settings.report.compare:
            watcher.say("comparing with alone, pooled and without privacy")
            probabilities = compare(contest, settings.federation.workers)
        else:
            probabilities = shared_model_alone(contest)
        if settings.outreach.wanted:
            watcher.say("choosing messages by the model, beside other ways to choose")
        outreach = study_engagement(settings, federation, terms, state, weights)
    return Results(
        study=settings.study,
        settings=settings_to_mapping(settings),
        contract=settings.contract,
        # Not the settings': a study of interactions is additive where its public rule expects too little of them.
        model=terms.model,
        weights=weights,
        hospitals=federation.hospitals,
        training_patients=federation.training_patients,
        training=federation.training,
        heldout=federation.heldout,
        probabilities=probabilities,
        rounds=diary.rows,
        privacy=privacy_facts(terms, assessment, store),
        terms=terms,
        assessment=assessment,
        approved_by=settings.release_decision.approved_by,
        seconds={"data": loaded - started, "train": diary.seconds, "total": time.perf_counter() - started},
        peak_rss_mb=peak_mb(),
        seed=settings.seed,
        data_fingerprint=federation.data_fingerprint,
        terms_fingerprint=terms.fingerprint,
        true_probability=federation.true_probability,
        gate=federation.counts,
        public_patients=terms.training.public_patients,
        real_table=settings.data.name != "synthetic",
        how_read=federation.how_read,
        outreach=outreach,
        weight_error=posterior_factor(terms, state.optimizer),
        why_additive=why_additive(settings.model, terms),
    )


def simulated_terms(settings: StudySettings, federation: Federation) -> Terms:
    """Propose the study's terms, marked as a simulation."""
    return propose(
        study=settings.study,
        contract=settings.contract,
        model=settings.model,
        privacy=settings.privacy,
        training=settings.training,
        public_patients=federation.public_patients(settings.training.public_patients),
        simulation=True,
        evaluation=settings.evaluation,
        fairness=settings.fairness,
        secure_sum=settings.secure_sum,
    )


def masked_sums(settings: StudySettings, terms: Terms) -> MaskedSums | None:
    """Set up secure sums with masks, where the settings want them and the terms have such sums."""
    wanted = settings.federation.masks and terms.secure_sum is not None
    return MaskedSums(terms, settings.seed) if wanted else None


def train(
    settings: StudySettings,
    federation: Federation,
    terms: Terms,
    answer: Answer,
    on_round: OnRound,
    sums: MaskedSums | None = None,
) -> RoundState:
    """Run the private rounds, carried by a function call, Flower's messages, or its engine on Ray."""
    if settings.federation.kind == "flower":
        from wardround.simulations.federation.flower import run_on_ray

        # Workers keep the ledgers of training; what is evaluated here begins ledgers of its own.
        return replace(run_on_ray(terms, federation, on_round=on_round), ledger_heads={})
    if settings.federation.kind == "messages":
        from wardround.simulations.federation.messages import run_over_messages

        return run_over_messages(terms, answer, on_round=on_round)
    return run_in_process(terms, answer, on_round=on_round, close=sums.close if sums else None)


def answering(federation: Federation, terms: Terms, memory_bytes: int = MEMORY_BYTES) -> Answer:
    """Give what answers a round's or an evaluation's plans: every planned hospital's own ward."""
    wards = {ward.hospital: ward for ward in federation.wards(terms)}
    admit = {UPDATE.account: federation.admit, TABLES.account: federation.admit_heldout}

    def answer(plans: Sequence[RoundPlan]) -> Sequence[Release | Refusal]:
        own = [wards[plan.hospital] for plan in plans]
        return unmasked(answer_request(plans, own, terms, OPERATOR, admit, memory_bytes))

    return answer


def asking(answer: Answer) -> Ask:
    """Turn refusals into what a server sees of them."""

    def ask(plans: Sequence[RoundPlan]) -> list[Release | NoRelease]:
        pairs = zip(plans, answer(plans), strict=True)
        return [NoRelease(plan.hospital, a.clause) if isinstance(a, Refusal) else a for plan, a in pairs]

    return ask


@dataclass
class Diary:
    """What is noted of each round; looking at held-out patients is left out of the seconds of training."""

    federation: Federation
    terms: Terms
    watcher: Watcher
    measure: Measure
    memory_bytes: int = MEMORY_BYTES
    findings: list[EvaluationResult] = field(default_factory=list)
    rows: list[RoundRow] = field(default_factory=list)
    seconds: float = 0.0
    _since: float = field(default_factory=time.perf_counter)

    def note(self, summary: RoundSummary, state: RoundState) -> None:
        """Note one closed round, and show it."""
        took = time.perf_counter() - self._since
        self.seconds += took
        row = RoundRow(
            round=summary.round,
            seconds=took,
            epsilon=self._spent(summary.round),
            auc=self._heldout.auc(reported_weights(state)),
        )
        self.rows.append(row)
        self.watcher.round(row)
        # After the last round `assess` measures, and once more where the model is mitigated.
        if due(state, self.terms) and not finished(state, self.terms):
            weights = reported_weights(state)
            self.findings.append(evaluate_round(self.terms, state, self.measure, weights))
        self._since = time.perf_counter()

    def _spent(self, rounds: int) -> float:
        return compose_epsilon(training_events(self.terms, rounds), self.terms.privacy.delta)

    @cached_property
    def _heldout(self) -> HeldOutScore:
        model, layout = self.terms.model, self.terms.contract.layout
        # An eighth beside the designs of training patients, three times as many and twice as dear.
        return HeldOutScore(model, layout, self.federation.heldout, self.memory_bytes // 8)
