"""What the journal holds of occasions on which chance picked among equal modules, as rows for ``explored``."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from wardround.client.outreach.measure.explored import Explored
from wardround.client.outreach.measure.protocol import EXPLORED

ENTRIES = (
    "token", "trigger", "occasion", "arm", "propensity", "module", "standard", "population", "options", "made_at",
)  # fmt: skip
"""Columns of the journal's proposals that are read."""
_BEST = pl.List(pl.Struct({"module": pl.String, "gain": pl.Float64, "error": pl.Float64}))


def drawn_occasions(entries: pl.DataFrame) -> pl.DataFrame:
    """Give each occasion once, as it was first proposed: ``ENTRIES``."""
    drawn = entries.filter((pl.col("arm") == EXPLORED) & (pl.col("propensity") < 1))
    return drawn.sort("made_at", maintain_order=True).unique(
        ["token", "trigger", "occasion"], keep="first", maintain_order=True
    )


def explored_rows(occasions: pl.DataFrame, equivalent: Sequence[Sequence[str]]) -> Explored:
    """Give the arrays. occasions: ``ENTRIES`` and ``outcome``, none of them null.

    The model's choice is its best option where that is one of the equal modules and its gain exceeds its own standard
    error; else it is the standard module. Features of the outcome's model: that gain, and whether there is a history.
    """
    best = occasions["options"].str.json_decode(_BEST).list.first().struct.unnest()
    drawn, standard = (occasions[name].str.replace(r"\.[^.]*$", "") for name in ("module", "standard"))
    gain, error = best["gain"].fill_null(0.0), best["error"].fill_null(0.0)
    equal = [
        name in next((group for group in equivalent if usual in group), ())
        for name, usual in zip(best["module"].to_list(), standard.to_list(), strict=True)
    ]
    chosen = best["module"].zip_with(pl.Series(equal, dtype=pl.Boolean) & (gain > error), standard)
    known = (occasions["population"] == "known").cast(pl.Float64)
    ids = sorted({*drawn.to_list(), *standard.to_list(), *chosen.to_list()})
    place = {one: at for at, one in enumerate(ids)}
    patients = np.unique(occasions["token"].to_numpy(), return_inverse=True)[1].astype(np.int64)
    places = [
        np.array([place[one] for one in column.to_list()], np.int64) for column in (drawn, chosen, standard)
    ]
    return Explored(
        patients=patients,
        features=np.stack([gain.to_numpy(), known.to_numpy()], axis=1),
        drawn=places[0],
        chosen=places[1],
        standard=places[2],
        propensity=occasions["propensity"].to_numpy(),
        outcomes=occasions["outcome"].cast(pl.Float64).to_numpy(),
    )
