"""The notice as one self-contained HTML page: no script, nothing loaded from elsewhere."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from wardround.client.notice.facts import Facts
from wardround.client.notice.odds import Odds, odds
from wardround.client.notice.words import count_words, listed, plain, used_features
from wardround.protocol.text.numerals import small_number
from wardround.protocol.text.text import visible


def notice_html(facts: Facts) -> str:
    """Say the facts to patients. Whatever contract, policy or ledger hold is escaped."""
    return render(
        "notice.html",
        facts=facts,
        coin=odds(0.0, facts.delta),
        choices=_choices(facts),
        many=facts.words.about,
        one=facts.words.about.removesuffix("s"),
        a_one=f"{'an' if facts.words.about[0] in 'aeiou' else 'a'} {facts.words.about.removesuffix('s')}",
        consent_needed=all(contract.consent.required for contract in facts.contracts),
        used=used_features,
        dots=dots,
        count=count_words,
        share=_share,
    )


def render(template: str, room: str = "wardround.client.notice", **values: object) -> str:
    """Fill a template of a room: one self-contained page; whatever is filled in is escaped."""
    # StrictUndefined: a misspelt name must fail, and not leave a gap in what patients are told.
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "plain": plain,
        "listed": listed,
        "visible": visible,
        "small": small_number,
        "day": lambda time: f"{time:%-d %B %Y}",
    }
    css = files("wardround.client.notice").joinpath("style.css").read_text(encoding="utf-8")
    style = Markup(css)  # noqa: S704 (our own file)
    source = files(room).joinpath(template).read_text(encoding="utf-8")
    return environment.from_string(source).render(style=style, **values)


def dots(shown: Odds) -> Markup:
    """Draw a hundred guesses, ten by ten: those that may be right are full."""
    marks = [
        f'<circle cx="{8 + 16 * (i % 10)}" cy="{8 + 16 * (i // 10)}" r="5.5" '
        f'class="{"right" if i < shown.right_of_100 else "wrong"}"/>'
        for i in range(100)
    ]
    label = f"{shown.right_of_100} of 100 guesses right"
    # Numbers of our own making only.
    return Markup(f'<svg viewBox="0 0 160 160" role="img" aria-label="{label}">{"".join(marks)}</svg>')  # noqa: S704


def _choices(facts: Facts) -> str:
    """Name what a patient may say no to by itself; empty where there is no such thing."""
    topics = ["a single topic"] if any(contract.topic for contract in facts.contracts) else []
    sources = sorted({plain(source) for contract in facts.contracts for source in contract.sources})
    return listed([*topics, *(f"the source “{source}”" for source in sources)], "or")


def _share(part: float) -> str:
    """Write a share as people say it."""
    return {0.25: "one patient in four", 0.2: "one patient in five"}.get(part, f"{part:.0%} of the patients")
