"""The zoo's page: every federation's AUC beside pooled boosting and the best possible, and who is ahead of whom."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from textwrap import fill

from scipy.stats import t as student

from wardround.protocol.files import write_durably
from wardround.simulations.measures.paired import LEAST_PATIENTS
from wardround.simulations.methods.column import REFERENCES
from wardround.simulations.methods.compared import DEFAULT, MANY_ROUNDS
from wardround.simulations.methods.release_0_1_0 import NAME, read_release
from wardround.simulations.methods.runner import Task
from wardround.simulations.methods.summary import Record
from wardround.simulations.methods.tables import epsilon_text, markdown
from wardround.simulations.population.zoo_design import CHOOSING, FRESH, UNTOUCHED, ZooFederation

INTRO = """# The zoo: {title}

Synthetic federations that differ in fifteen ways at once (`simulations/population/zoo_design.py`).
Each has its own contract, written without looking at the tables, and a known truth: *best* is the
AUC of the true probabilities. Every other figure is a difference in AUC from pooled boosting on the
same split; a mean over seeds.

```
python -m wardround.simulations.methods zoo {look}
```

{notes}

Code {code}, {seconds} processor minutes.
"""

TITLES = {CHOOSING: "the choosing half", UNTOUCHED: "the untouched half", FRESH: "twelve fresh federations"}
PERSONAL = "*personalised* is the default's model with each hospital's own part, which is never released. "
OLDER = (
    "Release 0.1.0 is that release's own code (`--release-0-1-0`); beside secure sums it had to suppose them, and has "
    "less noise at the same ε."
)
BAR = "pooled_boosting"
AGAINST = (NAME, "opacus_fedavg", MANY_ROUNDS.name)
"""What the default is held against, federation by federation."""
LINE = 98  # characters

Aucs = Mapping[tuple[str, str, int], float]
"""(method, federation, seed) → AUC, of one noise mode and ε; references under their own names."""


def write_page(tasks: Sequence[Task], federations: Sequence[ZooFederation], part: str, page: Path) -> None:
    """Write what is known so far, whole or not at all."""
    records = [record for task in tasks for record in task.records()]
    older = [record for task in tasks for record in read_release(task)]
    minutes = sum(float(str(record["cpu_seconds"])) for record in records) / 60
    code = tasks[0].code[:12]
    look = "" if part == CHOOSING else '--look "WHY" '
    look += f"--part {part} " if part == FRESH else ""
    look += "" if any(cell.method == REFERENCES for cell in tasks[0].cells) else "--no-references "
    beside = dict.fromkeys(cell.method for cell in tasks[0].cells if cell.method not in (REFERENCES, DEFAULT))
    personal = PERSONAL if any("personal" in one for one in records) else ""
    about = {
        "look": look + (f"--methods {','.join(beside)}" if beside else ""),
        "notes": fill(personal + (OLDER if older else ""), LINE),
    }
    parts = [
        INTRO.format(title=TITLES[part], code=code, seconds=f"{minutes:.0f}", **about),
        _facts(federations),
    ]
    for noise, epsilon in sorted({_place(r) for r in records if r["method"] != REFERENCES}):
        parts.append(_section(noise, epsilon, aucs_of([*records, *older], noise, epsilon), federations))
        parts.append(_no_worse([record for record in records if _is_at(record, noise, epsilon)]))
    page.parent.mkdir(parents=True, exist_ok=True)
    write_durably(page, "\n".join(parts).encode())


def _is_at(record: Record, noise: str, epsilon: float) -> bool:
    return record["method"] != REFERENCES and _place(record) == (noise, epsilon)


def _no_worse(records: Sequence[Record]) -> str:
    """Say how many hospitals were no worse off with the personalised model than alone, over all seeds; or nothing."""
    personal = [record["personal"] for record in records if "personal" in record]
    hospitals = sum(int(one["hospitals"]) for one in personal)
    if not hospitals:
        return ""
    fine = hospitals - sum(len(one["exceptions"]) for one in personal)
    text = (
        f"Of {hospitals} hospitals with at least {LEAST_PATIENTS} patients (a hospital counts once for each seed), "
        f"{fine} ({100 * fine / hospitals:.1f} %) were no worse off with the personalised model than alone."
    )
    return fill(text, LINE) + "\n"


def _place(record: Record) -> tuple[str, float]:
    return str(record["noise"]), float(record["epsilon"])


def aucs_of(records: Sequence[Record], noise: str, epsilon: float) -> Aucs:
    """Collect what was measured at one noise mode and ε, and the references; what has no AUC is left out."""
    found = {}
    for record in records:
        place = (record["case"], int(record["seed"]))
        if record["method"] == REFERENCES:
            own = {key: value for key, value in record.items() if isinstance(value, Mapping)}
        elif _place(record) == (noise, epsilon):
            own = {str(record["method"]): record}
            if "personal" in record:
                own["personalised"] = record["personal"]
        else:
            continue
        for method, measured in own.items():
            if measured["auc"] is not None:
                found[(method, *place)] = float(measured["auc"])
    return found


def _facts(federations: Sequence[ZooFederation]) -> str:
    head = [
        "federation",
        "hospitals",
        "patients",
        "messages",
        "fields",
        "words",
        "rate",
        "signal",
        "hidden",
        "shift",
    ]
    rows = [
        [
            one.name, str(one.hospitals), f"{one.patients:,}", f"{one.patients * one.events:,.0f}", str(one.fields),
            str(one.words), f"{one.base_rate:.2f}", f"{one.signal:.2f}", f"{one.pairs + one.triples:.2f}",
            f"{one.shift:.2f}",
        ]
        for one in federations
    ]  # fmt: skip
    return markdown(head, rows)


def _section(noise: str, epsilon: float, aucs: Aucs, federations: Sequence[ZooFederation]) -> str:
    methods = list(
        dict.fromkeys(method for method, *_ in aucs if method not in ("pooled_boosting", "best_possible"))
    )
    methods.sort(key=lambda name: (name != DEFAULT, name != "personalised"))
    against = [method for method in methods if method in AGAINST]
    shown = [one.name for one in federations if any(key[1] == one.name for key in aucs)]
    rows = [
        [name, _mean(aucs, "best_possible", name), _mean(aucs, "pooled_boosting", name)]
        + [_gap(aucs, method, BAR, name) for method in methods]
        + [_gap(aucs, DEFAULT, other, name) for other in against]
        for name in shown
    ]
    means = [
        _signed(fmean(found)) if (found := _means(aucs, method, BAR, shown)) else "–" for method in methods
    ]
    over = [
        _signed(fmean(found)) if (found := _means(aucs, DEFAULT, other, shown)) else "–" for other in against
    ]
    rows.append(["**mean**", "", "", *means, *over])
    ours = [f"default − {_title(other)}" for other in against]
    head = ["federation", "best", "pooled boosting", *map(_title, methods), *ours]
    title = f"## ε = {epsilon_text(epsilon)}, {noise} noise"
    return f"{title}\n\n{markdown(head, rows)}\n{_reduced(aucs, shown)}{_ahead(aucs, methods, shown)}"


def _reduced(aucs: Aucs, federations: Sequence[str]) -> str:
    """Say by how much the default's mean gap to pooled boosting is smaller than that of release 0.1.0, and where least.

    The standard error is over federations, which have their seeds' in them.
    """
    both = [name for name in federations if all(_means(aucs, m, BAR, [name]) for m in (DEFAULT, NAME))]
    if not both:
        return ""
    ours, older = ([-fmean(_means(aucs, m, BAR, [name])) for name in both] for m in (DEFAULT, NAME))
    share = 1 - fmean(ours) / fmean(older)
    error = f" (standard error {100 * ratio_error(ours, older):.0f})" if len(both) > 1 else ""
    ahead, worst = min((old - own, name) for own, old, name in zip(ours, older, both, strict=True))
    text = (
        f"Mean gap to pooled boosting over {len(both)} federations: {fmean(ours):.4f}, of release 0.1.0 "
        f"{fmean(older):.4f}; {'reduced' if share > 0 else 'larger'} by {100 * abs(share):.0f} %{error}. The default "
        f"minus 0.1.0 is least on {worst}: {_signed(ahead)}."
    )
    return fill(text, LINE) + "\n\n"


def ratio_error(over: Sequence[float], under: Sequence[float]) -> float:
    """Standard error of mean(over) ÷ mean(under), over pairs (at least two), by leaving out each pair in turn."""
    count, whole = len(over), (math.fsum(over), math.fsum(under))
    without = [(whole[0] - a) / (whole[1] - b) for a, b in zip(over, under, strict=True)]
    return math.sqrt((count - 1) / count * math.fsum((one - fmean(without)) ** 2 for one in without))


def _ahead(aucs: Aucs, methods: Sequence[str], federations: Sequence[str]) -> str:
    """Say on how many federations the default is ahead of each method, and on how many by more than its interval."""
    rows = []
    for method in methods:
        compared = [interval(differences(aucs, DEFAULT, method, name)) for name in federations]
        known = [one for one in compared if not math.isnan(one[0])]
        if method == DEFAULT or not known:
            continue
        rows.append(
            [
                _title(method), _signed(fmean(mean for mean, _ in known)), f"{len(known)}",
                f"{sum(mean > 0 for mean, _ in known)}", f"{sum(mean - half > 0 for mean, half in known)}",
                f"{sum(mean + half < 0 for mean, half in known)}",
            ]
        )  # fmt: skip
    head = ["default minus", "mean", "federations", "ahead", "interval above 0", "interval below 0"]
    return f"Intervals are 95 %, over seeds.\n\n{markdown(head, rows)}" if rows else ""


def differences(aucs: Aucs, method: str, other: str, federation: str) -> list[float]:
    """First minus second, seed by seed, where both are known."""
    seeds = sorted(seed for name, place, seed in aucs if (name, place) == (method, federation))
    return [
        aucs[method, federation, seed] - aucs[other, federation, seed]
        for seed in seeds
        if (other, federation, seed) in aucs
    ]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval by Student's t; the width is infinite for one value, NaN for none."""
    if not values:
        return math.nan, math.nan
    if len(values) == 1:
        return values[0], math.inf
    return fmean(values), float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))


def _means(aucs: Aucs, method: str, other: str, federations: Sequence[str]) -> list[float]:
    found = [differences(aucs, method, other, name) for name in federations]
    return [fmean(values) for values in found if values]


def _title(method: str) -> str:
    return "0.1.0" if method == NAME else method.replace("_", " ")


def _mean(aucs: Aucs, method: str, federation: str) -> str:
    found = [value for (name, place, _), value in aucs.items() if (name, place) == (method, federation)]
    return f"{fmean(found):.4f}" if found else "–"


def _gap(aucs: Aucs, method: str, other: str, federation: str) -> str:
    mean, half = interval(differences(aucs, method, other, federation))
    if math.isnan(mean):
        return "–"
    return _signed(mean) + (f" ±{half:.4f}" if math.isfinite(half) else "")


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")
