"""``forecast``: what a study would cost in ε, time and bytes, before anything is signed or asked."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from wardround.protocol.terms.cost import unmasked_epsilon
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.numerals import small_number
from wardround.protocol.text.say import say, say_json
from wardround.server.algorithm.noise_choice import raised_by_cap
from wardround.server.commands.settings import serving, show_settings, with_proposal
from wardround.server.study.forecast import Outlook, StudyForecast, study_forecast
from wardround.server.study.sign_terms import noise_words


def run(options: Namespace) -> None:
    """Show what the composed study would cost, or one whose terms exist."""
    if options.show_settings:
        show_settings(options.settings)
        return
    forecast = study_forecast(with_proposal(serving(options), options.settings))
    if options.json:
        say_json(plain(forecast))
    else:
        say(*lines(forecast))


def lines(forecast: StudyForecast) -> Iterator[str]:
    """Say all of it to a person."""
    terms, hospitals = forecast.terms, len(forecast.outlooks)
    yield (
        f"study {terms.study}: {_asked(terms)}, {hospitals} hospitals, fingerprint {terms.fingerprint[:12]}"
    )
    yield from cost_lines(forecast)
    yield from noise_lines(forecast)
    if forecast.why_additive:
        yield forecast.why_additive
    yield (
        f"time: about {forecast.seconds / 60:.0f} min plus the hospitals' computing, at most "
        f"{forecast.longest_seconds / 3600:.1f} h"
    )
    yield (
        f"bytes: {forecast.bytes_per_round / 1e6:.2f} MB per hospital and round, at most "
        f"{forecast.bytes_in_all / 1e6:.1f} MB"
    )
    yield from sum_lines(forecast)
    yield from (f"{one.hospital}: is not enrolled" for one in forecast.outlooks if not one.enrolled)
    for one in forecast.outlooks:
        yield from outlook_lines(one)
    yield from (f"policies/{name}: ignored; its name must end in .policy" for name in forecast.unread)


def _asked(terms: Terms) -> str:
    return f"{terms.training.rounds} rounds" if terms.query is None else f"a query ({terms.query.kind}), once"


def cost_lines(forecast: StudyForecast) -> Iterator[str]:
    """Say what either account, and a person who is in two hospitals, would have spent."""
    cost, evaluation = forecast.cost, forecast.terms.evaluation
    yield f"at each hospital: ε = {cost.training_epsilon:.4g} at δ = {small_number(cost.delta)} over all rounds"
    if forecast.terms.secure_sum is not None and raised_by_cap(forecast.terms):
        yield (
            f"less than privacy.epsilon={forecast.terms.privacy.epsilon:g}: secure_sum.max_epsilon_unmasked asks for "
            "more noise (raise it if the hospitals' policies allow more)"
        )
    yield f"δ × patients of the largest hospital = {cost.delta_times_largest:.3g}"
    if cost.held_out_epsilon is not None and evaluation is not None:
        yield (
            f"and ε = {cost.held_out_epsilon:.4g} for held-out patients, "
            f"over all evaluations ({len(evaluation.rounds)})"
        )
    elif cost.held_out_epsilon is not None:
        yield f"and ε = {cost.held_out_epsilon:.4g} for held-out patients, who are asked once too"
    for account, epsilon in unmasked_epsilon(forecast.terms, cost.delta).items():
        yield f"if every mask failed, or more hospitals help the server: ε = {epsilon:.4g} for {account} patients"
    if cost.two_hospitals_epsilon is not None:
        yield f"a person who is a patient at two of the hospitals: at most ε = {cost.two_hospitals_epsilon:.4g}"


def sum_lines(forecast: StudyForecast) -> Iterator[str]:
    """Say what a study's secure sums cost a hospital and the server; nothing where it has none."""
    sums, terms = forecast.sums, forecast.terms
    if sums is None:
        return
    numbers = terms.thresholds
    yield (
        f"secure sums of at least {numbers.threshold} of {numbers.hospitals} hospitals; a server that lies, with "
        f"{numbers.colluding} of them, sees none of fewer than {numbers.honest_shares} honest ones"
    )
    yield (
        f"of these bytes per hospital: set-up {_megabytes(sums.set_up)} once, trip 1 {_megabytes(sums.first_trip)}, "
        f"trip 2 {_megabytes(sums.second_trip)} a round"
    )
    yield (
        f"unmasking at the server, at worst ({sums.fewest_survivors} survivors): {sums.unmasking / 1e9:.3g} GB of "
        f"AES a round, about {sums.unmasking_seconds:.3g} s"
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.3g} MB"


def noise_lines(forecast: StudyForecast) -> Iterator[str]:
    """Say what each noise mode costs in accuracy: the noise that is left in the model's gradients."""
    yield noise_words(forecast.terms)
    costs = ", ".join(f"{name} {cost:.3g}" for name, cost in forecast.noise_costs.items())
    if costs:
        yield f"noise in each round's gradient, as a multiple of one trusted server's: {costs}"


def outlook_lines(one: Outlook) -> Iterator[str]:
    """Say what one hospital would refuse, and by which clause."""
    if one.published is None:
        yield f"{one.hospital}: published no policy"
    elif not one.refuses:
        yield f"{one.hospital}: no conflict with the policy that it published ({one.published})"
    for clause in one.refuses:
        yield (
            f"{one.hospital}: would refuse, clause {clause.name}: {clause.asked}; it allows {clause.allowed} "
            f"({one.published})"
        )


def plain(forecast: StudyForecast) -> dict[str, object]:
    """Give all of it as plain data."""
    terms = forecast.terms
    return {
        "study": terms.study,
        "fingerprint": terms.fingerprint,
        "rounds": terms.training.rounds,
        "model": terms.model.kind,
        "why_additive": forecast.why_additive,
        "evaluations": len(terms.evaluation.rounds) if terms.evaluation else 0,
        "cost": asdict(forecast.cost),
        "noise": terms.privacy.noise,
        "noise_costs": dict(forecast.noise_costs),
        "seconds": forecast.seconds,
        "longest_seconds": forecast.longest_seconds,
        "bytes_per_round": forecast.bytes_per_round,
        "bytes_in_all": forecast.bytes_in_all,
        "secure_sum": None if forecast.sums is None else asdict(forecast.sums),
        "hospitals": {
            one.hospital: {
                "enrolled": one.enrolled,
                "policy_published": one.published,
                "refuses": [
                    {"clause": clause.name, "asked": clause.asked, "allowed": clause.allowed}
                    for clause in one.refuses
                ],
            }
            for one in forecast.outlooks
        },
        "files_not_read": list(forecast.unread),
    }
