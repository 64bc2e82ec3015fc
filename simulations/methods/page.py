"""docs/lab/results.md, docs/lab/results.json and the frontiers, from finished cells alone."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from wardround.protocol.files import write_durably
from wardround.protocol.text.numerals import small_number
from wardround.simulations.methods.cases import EPSILONS, SHOWN_NOISES, Case
from wardround.simulations.methods.column import REFERENCES
from wardround.simulations.methods.compared import DEFAULT
from wardround.simulations.methods.figures import frontier
from wardround.simulations.methods.heart_page import heart_section
from wardround.simulations.methods.runner import Task
from wardround.simulations.methods.summary import PERSONALISED, Found, Record, rows_of, summarise
from wardround.simulations.methods.tables import epsilon_text, markdown, spread, wide_table

INTRO = """# Results

This page shows how accurate a model is at each patient ε. `make bench-accuracy` measures all of
it and writes this page, `results.json` and the figures. Nothing here is written by hand.

Every figure is a mean over seeds ± the standard deviation over seeds, on held-out patients. A
seed decides three things: synthetic tables, the split into training and held-out patients, and
all noise. The seeds are fixed. Another run on the same code, packages and processor type gives
the same figures; other seeds give figures within the spread. Methods were tuned on synthetic
federations. `methods.md` says where real data was looked at along the way.

- **default**: the method of a user who sets nothing. The rows marked `default` in `results.json`
  are its figures at each noise mode and ε. A user who sets nothing has `secure` with five
  hospitals or more, and `local` with fewer (heart, synthetic_few_large).
- **local**: every hospital adds the full noise, and its release is private by itself. **secure**:
  only sums over hospitals are seen, and each adds a share of the noise (`docs/secure-sum.md`), with
  the integers, the shares and the spare round of a real study. A real study of many hospitals adds
  more noise at a large ε, where the cap on the unmasked ε asks for it (`docs/privacy.md`).
- **ε**: for adding or removing one patient with all events at one hospital, composed over the
  whole study and verified by the project's accountant. The run fails if a method spends more than
  the column says.
- **ε = ∞** (`"inf"` in `results.json`): the same method, with clipping but with negligible noise
  (ε = 10⁶).
- `auc_mean` is the AUC over all held-out events. `macro_auc_mean` is the unweighted mean of the
  hospitals' own AUCs. `accuracy_mean` is the mean of their accuracies at 0.5.
- **pooled boosting**: gradient boosting on all records in one place, without privacy. It reads
  numbers as finely as the tables hold them, and the hospital; its settings come from
  cross-validation on training patients.
  **pooled**: the additive model on all records in one place, without privacy, converged. A
  federation without privacy ends at the same model, so default and pooled differ by the price of
  privacy.
  **alone**: a model of each hospital's own, without privacy.

```
make bench-accuracy                                    # everything, about {minutes} processor minutes
make bench-accuracy ACCURACY="--data DIR"              # where noshow.csv.gz and heart/ are
make bench-accuracy ACCURACY="--only noshow --quick"   # a part, into outputs/accuracy/
```

A run that was stopped continues where it stopped. Finished cells are kept in `outputs/accuracy/`
under a digest of code, settings and table. If one of these changes, no old cell is reused.
"""

PERSONAL = """## Each hospital's own part

Mean AUC by hospital of the default method, for three models: the shared private model, the same
model with each hospital's own part, and each hospital alone *without* privacy.

*No worse off* counts hospitals with at least 200 patients, over all seeds. It is the share whose
personalised AUC is not below that of alone by more than the 95 % confidence interval of the
difference (patients are the clusters). If both are equally good, chance counts 2.5 % as worse off."""


def write_results(tasks: Sequence[Task], skipped: Sequence[str], out: Path) -> None:
    """Write results.md, results.json and figures/results-*.svg into ``out``, whole or not at all."""
    records = [record for task in tasks for record in task.records()]
    found = summarise(records)
    cases = list({task.case.name: task.case for task in tasks}.values())
    (out / "figures").mkdir(parents=True, exist_ok=True)
    rows = json.dumps(rows_of(found), indent=1, ensure_ascii=False, allow_nan=False)
    sections = [_intro(records, skipped), _summary_section(cases, records)]
    for case in cases:
        own = [one for one in found if one.data == case.name]
        if not own:
            continue
        if not case.only:
            figure = frontier(case.title, own).encode()
            write_durably(out / "figures" / f"results-{case.name}.svg", figure)
        sections.append(_case_section(case, own, [r for r in records if r["case"] == case.name]))
    sections += [_personal_section(cases, records, found), heart_section(tasks, found)]
    write_durably(out / "results.json", (rows + "\n").encode())
    write_durably(out / "results.md", "\n".join(section for section in sections if section).encode())


def _intro(records: Sequence[Record], skipped: Sequence[str]) -> str:
    minutes = sum(float(record["cpu_seconds"]) for record in records) / 60
    lines = [INTRO.format(minutes=max(1, round(minutes)))]
    return "\n".join([*lines, *(f"Left out: {line}.\n" for line in skipped)])


SHOWN = ("optimizer", "rounds", "moment_rounds", "local_steps", "sampling_rate", "aggregate", "tail_average")


def default_as_run(records: Sequence[Record]) -> str:
    """What the rule chose where a user sets nothing: of one data's records, each choice once."""
    own = [record["training"] for record in records if record["method"] == DEFAULT]
    kinds = dict.fromkeys(", ".join(f"`{key}={one[key]}`" for key in SHOWN if key in one) for one in own)
    return " or ".join(kinds)


def _summary_section(cases: Sequence[Case], records: Sequence[Record]) -> str:
    """Two tables, seed by seed: the default behind pooled boosting, and behind its own model without privacy."""
    privacy, boosting = (_gap_table(cases, records, reference) for reference in ("pooled", "pooled_boosting"))
    if not boosting:
        return ""
    return (
        "## The price of privacy\n\nAUC of the default method minus that of the same model without privacy, converged\n"
        f"(`pooled`), on the same splits.\n\n{privacy}\n"
        "## The gap to pooled boosting\n\nAUC of the default method minus that of pooled boosting without privacy, "
        f"on the same splits.\n\n{boosting}"
    )


def _gap_table(cases: Sequence[Case], records: Sequence[Record], reference: str) -> str:
    rows = []
    for case in cases:
        for noise in SHOWN_NOISES:
            gaps = [_gap(case.name, noise, epsilon, records, reference) for epsilon in EPSILONS]
            if any(gap != "–" for gap in gaps):
                rows.append([case.name, noise, *gaps])
    head = ["data", "noise", *(f"ε = {epsilon_text(one)}" for one in EPSILONS)]
    return markdown(head, rows) if rows else ""


def _gap(data: str, noise: str, epsilon: float, records: Sequence[Record], reference: str) -> str:
    own = [record for record in records if record["case"] == data]
    bars = {r["seed"]: r[reference]["auc"] for r in own if r["method"] == REFERENCES}
    gaps = [
        r["auc"] - bars[r["seed"]]
        for r in own
        if r["method"] == DEFAULT
        and r["noise"] == noise
        and float(r["epsilon"]) == epsilon
        and r["seed"] in bars
    ]
    if not gaps:
        return "–"
    sd = f" ±{stdev(gaps):.4f}" if len(gaps) > 1 else ""
    return f"{fmean(gaps):+.4f}".replace("-", "−") + sd


def _case_section(case: Case, found: Sequence[Found], records: Sequence[Record]) -> str:
    references = [one for one in found if one.noise == "none"]
    seeds = max((one.seeds for one in found), key=len)
    picture = "" if case.only else f"![AUC by ε](figures/results-{case.name}.svg)\n\n"
    about = (
        f"Data `{case.name}` in `results.json`, δ = {small_number(case.delta)}, "
        f"{len(seeds)} seeds ({seeds[0]} to {seeds[-1]}). The default method here:\n{default_as_run(records)}."
    )
    head = ["without privacy", "AUC", "AUC by hospital", "log-loss", "accuracy by hospital"]
    measures = ("auc", "macro_auc", "log_loss", "accuracy")
    rows = [
        [one.method.replace("_", " "), *(spread(one.spreads[measure]) for measure in measures)]
        for one in references
    ]
    methods = [one for one in found if one.noise in SHOWN_NOISES and one.method != PERSONALISED]
    defaults = [one for one in methods if one.method == DEFAULT]
    return (
        f"## {case.title}\n\n{about}\n\n{picture}{markdown(head, rows)}\n"
        f"AUC:\n\n{wide_table(methods, 'auc')}\n"
        f"The default's other measures:\n\n{_other_measures(defaults)}"
    )


def _other_measures(defaults: Sequence[Found]) -> str:
    rows = [
        [
            one.noise,
            epsilon_text(one.epsilon),
            *(spread(one.spreads[m]) for m in ("macro_auc", "log_loss", "accuracy")),
        ]
        for one in sorted(defaults, key=lambda one: (SHOWN_NOISES.index(one.noise), one.epsilon))
    ]
    return markdown(["noise", "ε", "AUC by hospital", "log-loss", "accuracy by hospital"], rows)


def _personal_section(cases: Sequence[Case], records: Sequence[Record], found: Sequence[Found]) -> str:
    by = {(one.data, one.method, one.noise, one.epsilon): one for one in found}
    rows = []
    for one in found:
        if one.method != PERSONALISED:
            continue
        shared, alone = (
            by[one.data, DEFAULT, one.noise, one.epsilon],
            by.get((one.data, "alone", "none", math.inf)),
        )
        personal = [
            r for r in records
            if r["case"] == one.data and "personal" in r and r["noise"] == one.noise
            and float(r["epsilon"]) == one.epsilon
        ]  # fmt: skip
        rows.append(
            [
                one.data,
                one.noise,
                epsilon_text(one.epsilon),
                spread(shared.spreads["macro_auc"]),
                spread(one.spreads["macro_auc"]),
                spread(alone.spreads["macro_auc"]) if alone else "–",
                *_no_worse(personal),
            ]
        )
    if not rows:
        return ""
    order = [case.name for case in cases]
    rows.sort(key=lambda row: order.index(row[0]))
    head = [
        "data",
        "noise",
        "ε",
        "shared",
        "personalised",
        "alone",
        "no worse off",
        "exceptions (in how many seeds)",
    ]
    return f"{PERSONAL}\n\n{markdown(head, rows)}"


def _no_worse(records: Sequence[Record]) -> list[str]:
    """Share over all seeds, and who was worse off in how many."""
    counted = sum(int(r["personal"]["hospitals"]) for r in records)
    named = [name for r in records for name in r["personal"]["exceptions"]]
    if not counted:
        return ["–", ""]
    times = {name: named.count(name) for name in sorted(set(named))}
    share = 100 * (1 - len(named) / counted)
    return [f"{share:.1f} % of {counted}", ", ".join(f"{name} ({count})" for name, count in times.items())]
