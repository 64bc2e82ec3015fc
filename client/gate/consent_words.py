"""What a row of consents speaks of, doubt counting as no: a grant by its words, a withdrawal by what they may mean.

    a withdrawal whose words say     takes back
    other capitals, signs or spaces  what they come to: "e-mail" is email, "flu shot" is flu_shot
    a kind, and no value or "all"    all of that kind
    no kind, or one nobody knows     everything
    the kind "other"                 nothing: the hospital says that it is about something else

All of it is row by row.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from wardround.client.connectors.codes import CONSENT_KINDS
from wardround.client.connectors.parsing import MISSING_TEXTS
from wardround.client.connectors.patient_form import loose_texts

_EVERY = ("all", *(word for word in MISSING_TEXTS if word.isalpha()))
"""Loose forms that name nothing in particular."""
_CHOICES = ("topic",)
"""Kinds of which no list has all values: what is taken back as a whole is matched when words are (``last_words``)."""


def loose_words(column: str) -> pl.Expr:
    """Write words in the form in which withdrawals are compared: letters and digits in small letters; null for none."""
    return pl.col(column).map_batches(_loose, return_dtype=pl.String, is_elementwise=True)


def names_nothing(loose: pl.Expr) -> pl.Expr:
    """Whether words in their loose form name nothing in particular, and so all of their kind."""
    return loose.is_null() | loose.is_in(_EVERY)


def meant(loose: pl.Expr, words: Sequence[str]) -> pl.Expr:
    """Give the one of ``words`` that a loose form comes to; null for none."""
    each = pl.Series(words, dtype=pl.String)
    forms = dict(zip(loose_texts(each).to_list(), words, strict=True))
    forms.pop(None, None)
    return loose.replace_strict(list(forms), list(forms.values()), default=None, return_dtype=pl.String)


def heard(rows: pl.LazyFrame, asked: Mapping[str, Sequence[str]], now: datetime) -> pl.LazyFrame:
    """Give rows of consents, withdrawals under the words of ``asked`` that they may mean; one may become several.

    rows: as ``consent.read_statements`` gives them. asked: by kind the values that somebody asks about, in small
    letters. now: on the wall clock. A withdrawal whose words had to be interpreted grants nothing.
    """
    again = (pl.col("granted_at") > pl.col("withdrawn_at")) & (pl.col("granted_at") <= now)
    against = pl.col("withdrawn_at_unreadable") | (
        pl.col("withdrawn_at").is_not_null() & ~again.fill_null(False)
    )
    plain, taken = rows.filter(~against), rows.filter(against)
    kind = meant(loose_words("kind"), CONSENT_KINDS)
    taken = taken.with_columns(meant=kind, loose=loose_words("value"))
    return pl.concat([plain, *(_taken_back(taken, asked))])


def _taken_back(taken: pl.LazyFrame, asked: Mapping[str, Sequence[str]]) -> list[pl.LazyFrame]:
    """Part withdrawals into those that name something, those of a whole kind, and those of everything."""
    listed = {kind: tuple(values) for kind, values in asked.items() if values}
    unknown = pl.col("meant").is_null()
    whole = ~unknown & names_nothing(pl.col("loose")) & ~pl.col("meant").is_in((*_CHOICES, "other"))
    named = pl.col("value")
    for kind, values in listed.items():
        word = pl.coalesce(meant(pl.col("loose"), values), pl.col("value"))
        named = pl.when(pl.col("meant") == kind).then(word).otherwise(named)
    changed = (pl.col("kind") != pl.col("meant")) | (pl.col("value") != pl.col("word"))
    nothing = pl.lit(None, pl.Datetime("us"))
    one = taken.filter(~unknown & ~whole).with_columns(word=named)
    one = one.with_columns(
        granted_at=pl.when(~changed.fill_null(True)).then(pl.col("granted_at")).otherwise(nothing),
        kind="meant",
        value="word",
    )
    subjects = pl.LazyFrame(
        [(kind, value) for kind, values in listed.items() for value in values],
        {"kind": pl.String, "value": pl.String},
        orient="row",
    )
    # The topic "" is no message's: its patient becomes one who chose topics, and took all of them back.
    every = pl.concat([subjects, pl.LazyFrame({"kind": ["topic"], "value": [""]})]).unique()
    bare = taken.drop("kind", "value").with_columns(granted_at=nothing)
    of_kind = bare.filter(whole).join(subjects, left_on="meant", right_on="kind", how="inner")
    of_kind = of_kind.with_columns(kind="meant")
    all_of = bare.filter(unknown).join(every, how="cross")
    names = [name for name in taken.collect_schema().names() if name not in ("meant", "loose")]
    return [part.select(names) for part in (one, of_kind, all_of)]


def _loose(words: pl.Series) -> pl.Series:
    distinct = words.unique()
    return words.replace_strict(distinct, loose_texts(distinct), return_dtype=pl.String)
