"""report.html: one self-contained page of a run, for a person; plots are SVG, nothing is fetched."""

import json
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wardround.protocol.text.numerals import small_number
from wardround.server.report.adversaries import adversary
from wardround.simulations.measures.engagement import ALL
from wardround.simulations.report import charts, effects, engaged
from wardround.simulations.report.card import measured
from wardround.simulations.report.plots import compact, number, percent, spread_text
from wardround.simulations.report.scores import METHODS, MethodScores
from wardround.simulations.report.summary import PROTECTS_NOBODY_WARNING, Results

MOST_EFFECTS, MOST_HEAT_MAPS = 24, 8
MOST_TABLE_ROWS = 500
_KINDS = {
    "personalised": "personalised", "federated_private": "together", "federated": "together",
    "local": "alone", "local_private": "alone",
}  # fmt: skip


def render_report(results: Results) -> str:
    """The page as text; every name that comes from data is escaped."""
    page = environment().get_template("report.html")
    return page.render(
        results=results,
        privacy=results.privacy,
        headline=headline(results),
        protects_nobody=PROTECTS_NOBODY_WARNING,
        tiles=_tiles(results),
        comparison=_comparison(results),
        adversaries=_adversaries(results),
        plots={name: Markup(svg) for name, svg in _plots(results).items()},  # noqa: S704 (escaped in Drawing)
        calibrations=[Markup(svg) for svg in _calibrations(results)],  # noqa: S704
        effects=_effects(results),
        measured=measured(results),
        engaged=_engaged(results),
        hospital_rows=_hospital_rows(results),
        hospitals_in_chart=charts.MOST_ROWS,
        config=yaml.safe_dump(results.settings, sort_keys=False, allow_unicode=True),
        events=json.dumps([vars(event) for event in results.privacy.events]),
    )


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Templates of this package, autoescaped; a missing name is an error, not a blank."""
    made = Environment(
        loader=PackageLoader("wardround.simulations.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["number"] = number
    made.filters["compact"] = compact
    made.filters["percent"] = percent
    made.filters["with_spread"] = spread_text
    made.filters["delta"] = small_number
    return made


def headline(results: Results) -> str:
    """What training together bought, and what it cost, in one to three sentences."""
    scores, epsilon = results.scores, results.privacy.patient_epsilon
    if "federated_private" not in scores:
        return f"{len(results.hospitals)} hospitals at a patient ε of {epsilon:.2f}."
    together = f"an AUC of {scores['federated_private'].auc:.3f} at a patient ε of {epsilon:.2f}"
    parts = [f"{len(results.hospitals)} hospitals together reached {together}"]
    if "local_private" in scores:
        parts.append(f"Each alone reached {scores['local_private'].auc:.3f} at the same ε")
    reference = next((key for key in ("pooled_boosting", "pooled") if key in scores), None)
    if reference:
        parts.append(f"With every record in one place and no privacy, the AUC is {scores[reference].auc:.3f}")
    return ". ".join(parts) + "."


def _tiles(results: Results) -> list[tuple[str, str, str]]:
    """(number, what it is, beside what): the four that matter most."""
    scores, privacy = results.scores, results.privacy
    tiles = [
        (
            number(privacy.patient_epsilon, 2),
            "patient ε",
            f"δ = {small_number(privacy.delta)}, noise {privacy.mode.name}",
        )
    ]
    if "federated_private" in scores:
        private = scores["federated_private"].auc
        tiles.insert(0, (number(private), "AUC together, private", "on held-out patients"))
        for key, name in (("pooled_boosting", "pooled boosting"), ("pooled", "pooled, same model")):
            if key in scores:
                tiles.append((number(private - scores[key].auc), f"against {name}", "which has no privacy"))
                break
        if "local_private" in scores:
            share = percent(results.share_better_together)
            tiles.append((share, "of hospitals do better together", "than alone at the same ε"))
    return tiles[:4]


def _comparison(results: Results) -> dict[str, object]:
    """Rows of the side-by-side table, highest ranks of information first, with a dot on one shared axis."""
    scale = charts.auc_scale([scores.auc for scores in results.scores.values()], 200)
    rows = []
    for method in METHODS:
        if method.key not in results.scores:
            continue
        found = results.scores[method.key]
        dot = Markup(charts.auc_cell(scale, found.auc, _kind(method.key)))  # noqa: S704
        rows.append(
            {"method": method, "scores": found, "dot": dot, "main": method.key == "federated_private"}
        )
    left_out = next((scores.one_class for scores in results.scores.values()), 0)
    return {"rows": rows, "axis": Markup(charts.auc_header(scale)), "left_out": left_out}  # noqa: S704


def _kind(key: str) -> str:
    """CSS class of a method's dot: hollow where nothing protects the patients."""
    private = next(method.private for method in METHODS if method.key == key)
    return _KINDS.get(key, "pooled") + ("" if private else " open")


def _adversaries(results: Results) -> list[dict[str, object]]:
    privacy = results.privacy
    largest = max(privacy.epsilon_by_adversary.values(), default=0.0)
    rows = []
    for key, epsilon in privacy.epsilon_by_adversary.items():
        # With nobody to help it, this is an earlier line once more.
        if key.endswith("_and_hospitals") and privacy.colluding == 0:
            continue
        found = adversary(key, privacy.colluding)
        bar = Markup(charts.epsilon_bar(epsilon, largest))  # noqa: S704
        rows.append({"who": found.who, "sees": found.sees, "epsilon": epsilon, "bar": bar})
    return rows


def _plots(results: Results) -> dict[str, str]:
    scores, privacy, names = results.scores, results.privacy, list(results.hospitals)
    plots = {}
    if results.rounds:
        numbers = [row.round for row in results.rounds]
        plots["rounds"] = charts.rounds_chart(
            numbers, [row.auc for row in results.rounds], _references(scores)
        )
        spent = [row.epsilon for row in results.rounds]
        plots["epsilon_by_round"] = charts.epsilon_by_round_chart(numbers, spent, privacy.target_epsilon)
    plots["epsilon"] = charts.epsilon_by_hospital_chart(
        names, results.training_patients, privacy.hospital_epsilon, privacy.target_epsilon
    )
    if "federated_private" in scores:
        keys = {"alone": "local_private", "together": "federated_private", "personalised": "personalised"}
        marks = {kind: scores[key].hospital_auc for kind, key in keys.items() if key in scores}
        plots["hospitals"] = charts.hospitals_chart(names, results.training_patients, marks)
        if "alone" in marks:
            gain = marks["together"] - marks["alone"]
            plots["gain"] = charts.gain_chart(names, results.training_patients, gain)
    return plots


def _references(scores: Mapping[str, MethodScores]) -> dict[str, float]:
    names = {
        "best_possible": "best possible",
        "pooled_boosting": "pooled boosting",
        "federated": "without privacy",
        "federated_private": "together, private",
        "local_private": "alone, private",
    }
    return {name: scores[key].auc for key, name in names.items() if key in scores}


def _calibrations(results: Results) -> list[str]:
    shown = [("pooled", "Pooled, same model"), ("federated_private", "Together, private")]
    shown.append(("personalised", "Personalised"))
    found = {key: results.scores[key].calibration for key, _ in shown if key in results.scores}
    tops = [float(c.predicted.max(initial=0)) for c in found.values()]
    tops += [float(c.observed.max(initial=0)) for c in found.values()]
    high = min(1.0, max(tops, default=1.0) * 1.05)
    return [
        charts.calibration_chart(title, found[key], _kind(key).split()[0], high)
        for key, title in shown
        if key in found
    ]


def _effects(results: Results) -> dict[str, object]:
    """Curves and heat maps of the largest effects; the others by name and reach."""
    every = effects.additive_effects(results.contract, results.model, results.weights)
    crosses = [
        effect for effect in every if effect.shape == "heat" and len(effect.values) <= effects.MOST_CELLS
    ]
    mains = [effect for effect in every if effect.shape != "heat" and len(effect.values) <= 40]
    low, high = effects.shared_range(mains)
    shown = _largest(mains, MOST_EFFECTS), crosses[:MOST_HEAT_MAPS]
    drawn = {id(effect) for group in shown for effect in group}
    return {
        "curves": [Markup(effects.effect_chart(effect, low, high)) for effect in shown[0]],  # noqa: S704
        "heat_maps": [Markup(effects.effect_chart(effect, low, high)) for effect in shown[1]],  # noqa: S704
        "others": [effect for effect in every if id(effect) not in drawn],
        "linear_only": results.model.structure.additive,
    }


def _largest(mains: list[effects.Effect], count: int) -> list[effects.Effect]:
    """Take the ``count`` of largest reach; charts of one kind then stand together."""
    return sorted(mains[:count], key=lambda effect: effect.shape == "bars")


def _engaged(results: Results) -> dict[str, object] | None:
    """Give what the page says of messages that the model would choose; None where nobody asked."""
    found = results.outreach
    if found is None:
        return None
    return {
        "patients": found.counts[ALL],
        "rows": engaged.engagement_rows(found),
        "lines": engaged.engagement_lines(found, results.releasable),
        "legend": engaged.chart_legend(found),
        "chart": Markup(engaged.gain_chart(found)),  # noqa: S704 (escaped in Drawing)
        "columns": engaged.group_columns(found),
        "groups": engaged.group_rows(found),
    }


def _hospital_rows(results: Results) -> list[dict[str, object]]:
    """Every hospital by size, up to ``MOST_TABLE_ROWS``."""
    order = np.argsort(-results.training_patients, kind="stable")[:MOST_TABLE_ROWS]
    keys = [
        key
        for key in ("local", "local_private", "federated_private", "personalised")
        if key in results.scores
    ]
    return [
        {
            "name": results.hospitals[index],
            "patients": int(results.training_patients[index]),
            "epsilon": float(results.privacy.hospital_epsilon[index]),
            "auc": {key: float(results.scores[key].hospital_auc[index]) for key in keys},
        }
        for index in order.tolist()
    ]
