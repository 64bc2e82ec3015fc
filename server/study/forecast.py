"""What a study would cost in ε, time and bytes, and who would refuse it, before anything is signed or asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from wardround.conf.proposal import Serving
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model import parameter_count
from wardround.protocol.model.sizes import numbers_released, weights_asked
from wardround.protocol.terms.cost import study_epsilon, two_hospitals_epsilon
from wardround.protocol.terms.evaluation import table_size
from wardround.protocol.terms.limits import Clause, limit_clauses, validity_clauses
from wardround.protocol.terms.request import requests_of
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.published_policy import PublishedPolicy, load_policy
from wardround.protocol.wire.signed_terms import SignedTerms, signed_terms_to_bytes
from wardround.server.algorithm.interactions import why_additive
from wardround.server.algorithm.noise_choice import noise_costs
from wardround.server.store.operator_home import OperatorHome, load_operator_home
from wardround.server.study.served import check_times
from wardround.server.study.sign_terms import forecast_terms
from wardround.server.study.sum_forecast import SumForecast, sum_forecast

SET_UP_MESSAGES = 3
OVERHEAD_SECONDS = 3.0
"""A round on top of the hospitals' own computing and the terms' delay, as measured (docs/reliability.md)."""


@dataclass(frozen=True)
class PatientCost:
    """What each hospital's ledger will show if it answers every request.

    held_out_epsilon: of patients who do not train, over all evaluations; None without any. two_hospitals_epsilon:
    at most, for a person who is a patient at two of the hospitals; None where there is one hospital alone.
    """

    delta: float
    training_epsilon: float
    held_out_epsilon: float | None
    two_hospitals_epsilon: float | None
    delta_times_largest: float


@dataclass(frozen=True)
class Outlook:
    """What one hospital would say. published: the day of the policy that it published, None for none."""

    hospital: str
    enrolled: bool
    published: str | None
    refuses: tuple[Clause, ...]


@dataclass(frozen=True)
class StudyForecast:
    """A study before it is run. sums: None where it has no secure ones.

    requests: plans that each hospital answers at most. It, longest_seconds and bytes_in_all count spare rounds, as ε
    does; seconds none, nor the hospitals' own computing. why_additive: of a study that asked for interactions
    (``server.algorithm.interactions``), else empty. unread: names of files beside the policies. noise_costs: by
    noise mode (``server.algorithm.noise_choice``); empty for several local steps, and for a query.
    """

    terms: Terms
    cost: PatientCost
    requests: int
    seconds: float
    longest_seconds: float
    bytes_per_round: int
    bytes_in_all: int
    sums: SumForecast | None
    why_additive: str
    noise_costs: Mapping[str, float]
    outlooks: tuple[Outlook, ...]
    unread: tuple[str, ...]


def study_forecast(serving: Serving) -> StudyForecast:
    """Forecast the composed study, or one whose terms exist."""
    home = load_operator_home(serving.home)
    signed = _signed(home, serving)
    terms, terms_bytes = signed.terms, len(signed_terms_to_bytes(signed))
    check_times(terms, serving)
    per_round, sums = bytes_per_round(terms, terms_bytes), sum_forecast(terms)
    per_hospital = terms.last_round * per_round + bytes_of_evaluations(terms, terms_bytes)
    # Of held-out patients: evaluations, or the second table of a query that asks both accounts.
    evaluations = len(requests_of(terms)[1].rounds(terms))
    likely, most = terms.training.rounds + evaluations, terms.last_round + evaluations
    # A secure sum has a second trip, which no delay holds back; its set-up is three more messages.
    trips = 2 if sums else 1
    more = SET_UP_MESSAGES if sums else 0
    return StudyForecast(
        terms=terms,
        cost=patient_cost(terms),
        requests=most,
        seconds=(trips * likely + more) * OVERHEAD_SECONDS + likely * terms.reply_delay_seconds,
        longest_seconds=(trips * most + more) * serving.round_seconds,
        bytes_per_round=per_round,
        bytes_in_all=(per_hospital + (sums.set_up if sums else 0)) * len(terms.hospitals),
        sums=sums,
        why_additive=why_additive(serving.proposal.model, terms) if serving.proposal else "",
        noise_costs=noise_costs(terms, _choice(serving)) if _of_gradients(terms) else {},
        outlooks=outlooks(home, terms, serving.now),
        unread=unread(home),
    )


def _signed(home: OperatorHome, serving: Serving) -> SignedTerms:
    if serving.proposal is not None:
        # Signed because a plan's size includes it; never written, so that the study can still be changed.
        return forecast_terms(serving.proposal, datetime.now(UTC))
    if home.study(serving.study).terms.exists():
        return home.study(serving.study).signed_terms()
    raise ConfigurationError("training.public_patients: is missing; name every hospital, as in {north: 1200}")


def _of_gradients(terms: Terms) -> bool:
    return terms.training.local_steps == 1 and terms.query is None


def _choice(serving: Serving) -> SecureSumChoice:
    # Terms that exist tell no choice of secure sums that they have not.
    return serving.proposal.secure_sum if serving.proposal is not None else SecureSumChoice()


def patient_cost(terms: Terms) -> PatientCost:
    """Compose what the terms cost a patient."""
    cost, delta = study_epsilon(terms, terms.privacy.delta), terms.privacy.delta
    return PatientCost(
        delta=delta,
        training_epsilon=cost["training"],
        held_out_epsilon=cost.get("held_out"),
        two_hospitals_epsilon=two_hospitals_epsilon(terms, delta) if len(terms.hospitals) > 1 else None,
        delta_times_largest=delta * max(terms.training.public_patients.values()),
    )


def outlooks(home: OperatorHome, terms: Terms, now: datetime) -> tuple[Outlook, ...]:
    """Say by clause who would refuse, of the hospitals that published their limits; and who published none.

    What a hospital's ledger has spent, and whom its policy lists, is not in what it publishes.
    """
    published, enrolled = published_policies(home), home.hospitals()
    # No policy can allow it: a real hospital never takes part in a simulated study.
    real = Clause("simulation", f"simulation={terms.simulation}", "no simulation", not terms.simulation)
    found = []
    for name in terms.hospitals:
        day, refuses = None, tuple[Clause, ...]()
        if name in published:
            clauses = [real, *validity_clauses(terms, now), *limit_clauses(published[name].limits, terms)]
            day, refuses = published[name].published_at, tuple(one for one in clauses if not one.holds)
        found.append(Outlook(name, name in enrolled, day, refuses))
    return tuple(found)


def unread(home: OperatorHome) -> tuple[str, ...]:
    """Name the files in ``policies/`` that are ignored, since their names do not end in .policy."""
    beside = (home.folder / "policies").glob("[!.]*")
    return tuple(sorted(path.name for path in beside if path.suffix != ".policy"))


def published_policies(home: OperatorHome) -> dict[str, PublishedPolicy]:
    """Read HOME/policies/*.policy; ConfigurationError where a file is not its hospital's, or two are of one."""
    enrolled, found = home.hospitals(), dict[str, PublishedPolicy]()
    for path in sorted((home.folder / "policies").glob("*.policy")):
        one = load_policy(path)
        known = enrolled.get(one.hospital)
        # Else anybody who can send the operator a file could speak for a hospital.
        if known is not None and known.signing_key != one.signing_key:
            raise ConfigurationError(
                f"policy={path}: is signed with another key than the one {one.hospital} joined with; remove it"
            )
        if one.hospital in found:
            raise ConfigurationError(f"policy={path}: there are two of {one.hospital}; keep the newer one")
        found[one.hospital] = one
    return found


def bytes_per_round(terms: Terms, terms_bytes: int) -> int:
    """Bytes of one hospital's plan and answer, without Flower's and TLS's framing; in a secure sum of both trips."""
    # float32, down in the plan and up in the release. The last term is room for heads and signatures.
    vectors = 4 * (weights_asked(terms) + numbers_released(terms))
    sums = sum_forecast(terms)
    if sums is not None:
        return sums.first_trip + sums.second_trip + 2 * (terms_bytes + 2 * 1024)
    return vectors + terms_bytes + 2 * 1024


def bytes_of_evaluations(terms: Terms, terms_bytes: int) -> int:
    """Bytes of one hospital's plans and answers about held-out patients, all together."""
    if terms.query is not None:
        return bytes_per_round(terms, terms_bytes) if terms.query.both_accounts else 0
    if terms.evaluation is None:
        return 0
    parameters = parameter_count(terms.model, terms.contract.layout)
    numbers = table_size(terms.contract, terms.evaluation)
    sums = sum_forecast(terms)
    if sums is None:
        once = 4 * (parameters + numbers) + terms_bytes + 2 * 1024
    else:
        # As a round's, with tables in the place of an update.
        once = sums.first_trip + sums.second_trip + 8 * (numbers - parameters) + 2 * (terms_bytes + 2 * 1024)
    return len(terms.evaluation.rounds) * once
