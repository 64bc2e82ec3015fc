"""``plan``: what a study would cost in ε, time and bytes, before anything is signed or asked."""

from datetime import UTC, datetime

from wardround.conf.proposal import Serving
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model import parameter_count
from wardround.protocol.terms.cost import study_epsilon, two_hospitals_epsilon
from wardround.protocol.terms.evaluation import table_size
from wardround.protocol.terms.limits import Clause, limit_clauses, validity_clauses
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.say import say
from wardround.protocol.wire.published_policy import PublishedPolicy, load_policy
from wardround.protocol.wire.signed_terms import load_terms, signed_terms_to_bytes
from wardround.server.store.operator_home import OperatorHome, load_operator_home
from wardround.server.study.served import check_times
from wardround.server.study.sign_terms import signed_terms

OVERHEAD_SECONDS = 3.0
"""A round on top of the hospitals' own computing and the terms' delay, as measured (docs/reliability.md)."""


def say_plan(serving: Serving) -> None:
    """Write the plan of the composed study, or of one whose terms exist."""
    home = load_operator_home(serving.home)
    if serving.proposal is not None:
        signed = signed_terms(serving.proposal, datetime.now(UTC))
    elif home.study(serving.study).terms.exists():
        signed = load_terms(home.study(serving.study).terms)
    else:
        raise ConfigurationError(
            "training.public_patients: is missing; name every hospital, as in {north: 1200}"
        )
    terms, enrolled = signed.terms, home.hospitals()
    check_times(terms, serving)
    terms_bytes = len(signed_terms_to_bytes(signed))
    per_round = bytes_per_round(terms, terms_bytes)
    rounds, hospitals = terms.training.rounds, terms.hospitals
    whole = rounds * per_round + bytes_of_evaluations(terms, terms_bytes)
    asked = rounds + (len(terms.evaluation.rounds) if terms.evaluation else 0)
    seconds = asked * (OVERHEAD_SECONDS + terms.reply_delay_seconds)
    lines = [
        f"study {terms.study}: {rounds} rounds, {len(hospitals)} hospitals, fingerprint {terms.fingerprint[:12]}",
        *cost_lines(terms),
        f"time: about {seconds / 60:.0f} minutes and the hospitals' own computing, at most "
        f"{asked * serving.round_seconds / 3600:.1f} h",
        f"bytes: {per_round / 1e6:.2f} MB per hospital and round, {whole * len(hospitals) / 1e6:.1f} MB",
    ]
    lines += [f"{name}: is not enrolled" for name in hospitals if name not in enrolled]
    lines += conflicts(home, terms, serving.now)
    say(*lines)


def cost_lines(terms: Terms) -> list[str]:
    """Say what each hospital's ledger will say of either account, if it misses nothing."""
    cost, delta = study_epsilon(terms, terms.privacy.delta), terms.privacy.delta
    lines = [f"at each hospital: ε = {cost['training']:.4g} at δ = {delta:g} over all rounds"]
    largest = max(terms.training.public_patients.values())
    lines.append(f"δ × patients of the largest hospital = {delta * largest:.3g}")
    if "held_out" in cost and terms.evaluation is not None:
        asked = len(terms.evaluation.rounds)
        lines.append(
            f"and ε = {cost['held_out']:.4g} for held-out patients, who do not train, over all evaluations ({asked})"
        )
    if len(terms.hospitals) > 1:
        both = two_hospitals_epsilon(terms, delta)
        lines.append(f"a person who is a patient at two of the hospitals: ε = {both:.4g} at most")
    return lines


def conflicts(home: OperatorHome, terms: Terms, now: datetime) -> list[str]:
    """Say by clause who would refuse, of the hospitals that published their limits; and who published none.

    What a hospital's ledger has spent, and whom its policy lists, is not in what it publishes.
    """
    published = published_policies(home)
    lines = []
    for name in terms.hospitals:
        if name not in published:
            lines.append(f"{name}: published no policy")
            continue
        real = Clause("simulation", f"simulation={terms.simulation}", "no simulation", not terms.simulation)
        clauses = [real, *validity_clauses(terms, now), *limit_clauses(published[name].limits, terms)]
        broken = [one for one in clauses if not one.holds]
        day = published[name].published_at
        lines += [
            f"{name}: would refuse by {c.name}: {c.asked}; it allows {c.allowed} ({day})" for c in broken
        ]
        if not broken:
            lines.append(f"{name}: no conflict with the policy that it published ({day})")
    others = sorted(
        path.name for path in (home.folder / "policies").glob("[!.]*") if path.suffix != ".policy"
    )
    return lines + [f"policies/{name}: is not read; its name must end in .policy" for name in others]


def published_policies(home: OperatorHome) -> dict[str, PublishedPolicy]:
    """Read HOME/policies/*.policy; ConfigurationError where a file is not its hospital's, or two are of one."""
    enrolled, found = home.hospitals(), dict[str, PublishedPolicy]()
    for path in sorted((home.folder / "policies").glob("*.policy")):
        one = load_policy(path)
        known = enrolled.get(one.hospital)
        if known is not None and known.signing_key != one.signing_key:
            raise ConfigurationError(
                f"policy={path}: is signed by another key than the one {one.hospital} joined with; remove it"
            )
        if one.hospital in found:
            raise ConfigurationError(f"policy={path}: there are two of {one.hospital}; keep the newer")
        found[one.hospital] = one
    return found


def bytes_per_round(terms: Terms, terms_bytes: int) -> int:
    """Bytes of one hospital's plan and answer, without Flower's and TLS's framing."""
    vector = 4 * parameter_count(terms.model, terms.contract.layout)
    return 2 * vector + terms_bytes + 2 * 1024


def bytes_of_evaluations(terms: Terms, terms_bytes: int) -> int:
    """Bytes of one hospital's evaluation plans and answers, all together."""
    if terms.evaluation is None:
        return 0
    vectors = parameter_count(terms.model, terms.contract.layout) + table_size(
        terms.contract, terms.evaluation
    )
    return len(terms.evaluation.rounds) * (4 * vectors + terms_bytes + 2 * 1024)
