"""report.html: one file, nothing fetched, names escaped, every promised part there, quick."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.builders import calls_of
from wardround.protocol.terms.settings import ModelSettings
from wardround.simulations.report import charts, figure, plots
from wardround.simulations.report.effects import additive_effects, short_labels
from wardround.simulations.report.figure import headline_figure
from wardround.simulations.report.page import render_report
from wardround.simulations.report.summary import summarise


class Tags(HTMLParser):
    """Collects tags, attributes, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


@pytest.mark.parametrize("noise", ["local", "secure"])
def test_the_page_is_self_contained_and_escapes_names(example: Callable, noise: str) -> None:
    page = render_report(example(noise=noise))
    tags = parsed(page)
    assert not tags.seen & {"script", "link", "iframe", "object", "img"}
    assert not [value for name, value in tags.attributes if name in ("src", "href") or name.startswith("on")]
    assert "url(" not in page
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "<script>" not in page
    assert "<sms>" not in page
    assert "nan" not in re.sub(r"<[^>]+>", " ", page).lower().split()


def test_the_page_shows_every_part(example: Callable) -> None:
    results = example()
    page = render_report(results)
    for part in (
        "Side by side", "Round by round", "Each hospital", "What it cost", "What was released", "Calibration",
        "What the private model learned", "What this does not protect", "How to repeat it",
    ):  # fmt: skip
        assert part in page
    for scores in results.scores.values():
        assert f"{scores.auc:.3f}" in page
    assert "Assumes secure aggregation" not in page
    assert results.contract.fingerprint in page


def test_secure_sums_say_what_holds_if_every_mask_failed(example: Callable) -> None:
    page = render_report(example(noise="secure"))
    assert "if every mask failed" in page
    assert "3.2" in page[page.index("if every mask failed") :][:400]


def test_the_page_stands_with_little(example: Callable) -> None:
    parsed(render_report(example(probabilities={}, true_probability=None, rounds=[])))
    only = {"federated_private": example().probabilities["federated_private"]}
    parsed(render_report(example(probabilities=only, rounds=[], gate={})))
    deep = ModelSettings(kind="mlp", hidden=(4,))
    count = example().contract.layout.main_width * 4 + 4 + 4 + 1
    page = render_report(example(model=deep, weights=np.zeros(count)))
    assert "What the private model learned" not in page


@pytest.mark.slow
def test_two_thousand_hospitals_are_scored_and_rendered_at_little_work_each(example: Callable) -> None:
    results = example(hospitals=2_000)
    pages: list[str] = []
    calls = calls_of(lambda: pages.append(render_report(results)))
    assert calls < 320 * 2_000  # measured: 159 for each hospital
    assert len(pages[0]) < 2_000_000


def test_effects_are_the_models_and_centred(example: Callable) -> None:
    results = example()
    layout = results.contract.layout
    found = {
        effect.name: effect for effect in additive_effects(results.contract, results.model, results.weights)
    }
    assert set(found) == {"age", "channel", "lead", "age × channel"}
    scale = 1 / np.sqrt(1 + len(layout.fields) + len(layout.values))
    for offset, field in zip(layout.offsets, layout.fields, strict=True):
        part = results.weights[offset : offset + field.size] * scale
        np.testing.assert_allclose(found[field.name].values, part - part.mean())
    np.testing.assert_allclose(found["lead"].values, np.array([-1, 1]) * results.weights[-1] * scale)


def test_labels_of_bins_are_short(example: Callable) -> None:
    features = {feature.name: feature for feature in example().contract.features}
    assert short_labels(features["age"]) == ("<40", "≥40", "–")
    assert short_labels(features["channel"]) == ("<sms>", "phone", "other")


def test_numbers_for_a_reader() -> None:
    assert plots.number(-0.0004) == "0.000"
    assert plots.number(-0.5, 1) == "−0.5"
    assert plots.number(float("nan")) == "–"
    assert plots.tick_labels([0.68, 0.7, 0.72]) == ["0.68", "0.70", "0.72"]
    assert plots.linear_ticks(0.0, 1.0, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert plots.linear_ticks(1.0, 1.0, 5) == [1.0]


def test_labels_are_spread_apart_in_their_order() -> None:
    placed = plots.spread([100, 101, 102, 300], 15, 0, 320)
    assert placed == sorted(placed)
    assert min(np.diff(placed)) >= 15


def test_charts_of_nothing() -> None:
    nothing = np.zeros(0)
    none = np.zeros(0, dtype=np.int64)
    for chart in (
        charts.rounds_chart([], [], {}),
        charts.gain_chart([], none, nothing),
        charts.hospitals_chart(["a"], np.array([3]), {"together": np.array([np.nan])}),
        charts.rounds_chart([1], [float("nan")], {"pooled": float("nan")}),
    ):
        tags = parsed(chart)
        assert "circle" not in tags.seen  # axes, and not one mark: "a" has no AUC
        assert not [value for _, value in tags.attributes if value and re.search(r"\b(nan|inf)\b", value)]


def test_the_readme_figure_stands_alone(example: Callable) -> None:
    summary = summarise(example())
    drawn = headline_figure(summary)
    parsed(drawn)
    for key in ("local_private", "federated_private", "pooled_boosting", "best_possible"):
        assert f"{summary['auc'][key]:.3f}" in drawn
    # A figure under one noise mode is nothing that the other gives.
    assert "together: full noise at each hospital<" in drawn
    assert "together: noise shared in secure sums<" in headline_figure({**summary, "noise": "secure"})
    parsed(headline_figure({**summary, "auc": dict.fromkeys(summary["auc"])}))


def test_the_readme_figure_is_drawn_by_a_command(example: Callable, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(summarise(example())))
    assert figure.main([str(tmp_path / "summary.json"), str(tmp_path / "demo.svg")]) == 0
    assert (tmp_path / "demo.svg").read_text() == headline_figure(summarise(example()))


@pytest.mark.parametrize("content", [None, "", "[]", "3", "{}", '{"auc": 1, "patient_epsilon": 1}'])
def test_what_is_no_summary_is_one_line_and_leaves_the_figure(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demo.svg").write_text("as it was")
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    assert figure.main([str(tmp_path / "summary.json"), str(tmp_path / "demo.svg")]) == 2
    line = "No such file" if content is None else "name the summary.json of a run's folder"
    assert re.fullmatch(rf"[^\n]*{line}[^\n]*\n", capsys.readouterr().err)
    assert (tmp_path / "demo.svg").read_text() == "as it was"


def test_no_table_is_wider_than_the_page(example: Callable) -> None:
    """By the widths that a browser must give: what cannot be broken, eight pixels a character, and the padding."""
    page = render_report(example())
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert "td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 11em; }" in style
    widest = int(re.search(r"main, header.top, footer \{ max-width: (\d+)px", style)[1]) - 48
    tables = re.findall(r"<table.*?</table>", page, re.DOTALL)
    assert len(tables) >= 3
    for table in tables:
        rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in table.split("<tr")[1:]]
        columns = list(zip(*[row for row in rows if row], strict=True))
        _, *others = [max(map(narrowest, column)) for column in columns]
        assert 11 * 14.5 + 16 + sum(width + 16 for width in others) <= widest, table[:80]


def narrowest(cell: str) -> float:
    drawn = re.search(r'<svg[^>]*viewBox="0 0 ([\d.]+)', cell)
    if drawn:
        return float(drawn[1])
    lines = re.sub(r"<[^>]+>", "", re.sub(r"<br>|<small>", "\n", cell)).split("\n")
    return 8.0 * max(len(line.strip()) for line in lines)
