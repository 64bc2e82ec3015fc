"""``forecast``: what a study would cost, clause by clause; nothing is spent."""

from argparse import Namespace

from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.terminal import bar, clause_table, clauses_to_plain, say
from wardround.client.ledger.known_by import JOINED
from wardround.client.notice.uplift_words import stated_words
from wardround.client.notice.words import listed
from wardround.client.policy.policy import Forecast
from wardround.protocol.errors import Refusal
from wardround.protocol.model.sizes import numbers_released
from wardround.protocol.terms.cost import two_hospitals_epsilon
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.numerals import small_number
from wardround.protocol.text.say import say_json
from wardround.protocol.text.section import shown
from wardround.protocol.wire.signed_terms import SignedTerms


def run(options: Namespace) -> None:
    """Show cost and clauses; a clause that does not hold (approval aside) is exit code 2."""
    with open_home(options.home) as opened:
        signed = opened.find(options.terms)
        seen = opened.forecast(signed)
        if options.json:
            say_json(_plain(opened, signed, seen))
        else:
            show(opened, signed, seen)
            clause_table("", seen.clauses)
            show_budget(opened)
        refuse_unless_permitted(seen)


def refuse_unless_permitted(seen: Forecast) -> None:
    """Raise Refusal by the first clause that does not hold; a person's approval may still be open."""
    for clause in seen.clauses:
        if not clause.holds and clause.name != "approval":
            remedy = f"; {clause.remedy}" if clause.remedy else ""
            raise Refusal(
                clause.name, f"{clause.asked}; this hospital allows {clause.allowed} ({clause.file}){remedy}"
            )


def show(opened: OpenHome, signed: SignedTerms, seen: Forecast) -> None:
    """Write a study's terms in a few lines."""
    terms = signed.terms
    say(f"Study {terms.study} of {opened.operator_name(signed.operator)}: {opened.decision(signed)}")
    say(
        f"  {_asked(terms)}, contract {terms.contract.name} "
        f"{terms.contract.version}, until {terms.expires_at[:10]}"
    )
    say(f"  contract {terms.contract.fingerprint}")  # whole: it is what policy.yaml lists
    delta = small_number(opened.policy.delta)
    say(f"  costs each training patient ε = {seen.epsilon:.4g} at δ = {delta}, {_over(terms)}")
    if seen.joined:
        say(f"  {JOINED}")
    elif seen.heldout_epsilon:
        used = "used for evaluation only" if terms.query is None else "counted in a table of their own"
        say(f"  and each held-out patient, {used}, ε = {seen.heldout_epsilon:.4g}")
    for line in stated_words(terms):
        say(f"  it will tell {line}")
    if len(terms.hospitals) > 1:
        both = two_hospitals_epsilon(terms, opened.policy.delta, seen.joined)
        say(f"  a person who is a patient at two of its hospitals: at most ε = {both:.4g}")


def _over(terms: Terms) -> str:
    if terms.query is None:
        return "over all rounds"
    return "once" if terms.query.both_accounts else "once; held-out patients are not counted, and pay nothing"


def _asked(terms: Terms) -> str:
    """Say what is trained, or what is asked where nothing is."""
    if terms.query is None:
        return f"{terms.training.rounds} rounds, {terms.model.kind} model"
    numbers = numbers_released(terms)
    groups = f", in all and by {shown(listed(terms.contract.groups))}" if terms.contract.groups else ""
    if terms.contract.arms is not None and terms.query.both_accounts:
        arms = shown(listed(terms.contract.arms.words))
        return (
            f"no model: a query ({terms.query.kind}) for one noised table of {numbers} numbers of each account, how "
            f"many patients there are in each arm of a trial ({arms}) and their mean outcome{groups}"
        )
    return (
        f"no model: a query ({terms.query.kind}) for one noised table of {numbers} numbers, how many "
        f"training patients there are with either outcome{groups}"
    )


def show_budget(opened: OpenHome) -> None:
    """Write what is spent of the budget for life."""
    spent, life = opened.ledger.spent("training", opened.policy.delta), opened.policy.max_epsilon_for_life
    if life > 0:
        say(f"Budget for life: [{bar(spent / life)}] {spent:.4g} of {life:g} spent. Nothing was spent now.")


def _plain(opened: OpenHome, signed: SignedTerms, seen: Forecast) -> dict[str, object]:
    return {
        "study": signed.terms.study,
        "terms": signed.terms.fingerprint,
        "decision": opened.decision(signed),
        "query": signed.terms.query.kind if signed.terms.query else None,
        "epsilon": seen.epsilon,
        "heldout_epsilon": seen.heldout_epsilon,
        "accounts_add_up": seen.joined,
        "two_hospitals_epsilon": two_hospitals_epsilon(signed.terms, opened.policy.delta, seen.joined),
        "delta": opened.policy.delta,
        "permitted": all(c.holds for c in seen.clauses if c.name != "approval"),
        "clauses": clauses_to_plain(seen.clauses),
    }
