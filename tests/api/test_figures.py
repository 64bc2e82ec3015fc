"""Figures: as files where a run is asked for them, and as values that a notebook shows."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

import wardround
from wardround import WardroundError


@pytest.mark.slow
def test_a_run_writes_its_figures_where_it_is_asked(tmp_path: Path) -> None:
    wardround.simulate(
        "experiment=tiny", "report.figures=[svg,png]", "report.html=false", output_dir=tmp_path
    )
    drawn = {file.name for file in (tmp_path / "figures").iterdir()}
    names = ("methods", "rounds", "hospitals", "calibration")
    assert drawn == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}
    assert (tmp_path / "figures" / "methods.png").read_bytes().startswith(b"\x89PNG")
    first = (tmp_path / "figures" / "methods.svg").read_bytes()
    wardround.simulate(
        "experiment=tiny", "report.figures=[svg]", "report.html=false", output_dir=tmp_path, seed=0
    )
    assert (tmp_path / "figures" / "methods.svg").read_bytes() == first
    assert not (tmp_path / "figures" / "methods.png").exists()


def test_another_format_is_refused() -> None:
    with pytest.raises(WardroundError, match=r"^report.figures=gif: must be among svg, png"):
        wardround.simulate("experiment=tiny", "report.figures=[gif]")


@pytest.mark.slow
def test_a_figure_shows_every_method_at_its_auc() -> None:
    study = wardround.simulate("experiment=tiny")
    figure = study.plot.methods()
    assert isinstance(figure, Figure)
    drawn = sorted(float(line.get_xdata()[0]) for line in figure.axes[0].lines)
    assert drawn == sorted(study.table()["auc"])
    assert figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(WardroundError, match=r"^model=nobody: must be one of"):
        study.plot.calibration("nobody")


@pytest.mark.slow
def test_a_sweeps_figure_has_a_line_for_each_private_method(tmp_path: Path) -> None:
    over = {"epsilon": [1.0, 4.0], "model": ["additive", "mpl"]}
    sweep = wardround.sweep(over, "experiment=tiny", "report=files", output_dir=tmp_path / "sweep")
    lines = {text.get_text() for text in sweep.plot().axes[0].get_legend().get_texts()}
    assert lines == {"personalised, private", "together, private", "alone, private"}
    assert set(sweep.summaries) == {"epsilon=1.0,model=additive", "epsilon=4.0,model=additive"}
    assert all(line.startswith("model=mpl: must be one of") for line in sweep.failed.values())
    assert (tmp_path / "sweep" / "frontier.html").is_file()
    assert (tmp_path / "sweep" / "epsilon=1.0,model=additive" / "summary.json").is_file()
    private = sweep.table().filter(sweep.table()["method"] == "local_private")
    assert private["epsilon"].to_list() == sorted(
        summary["patient_epsilon"] for summary in sweep.summaries.values()
    )


def test_a_sweep_over_nothing_is_refused() -> None:
    with pytest.raises(WardroundError, match=r"^over\.epsilon: must name settings"):
        wardround.sweep({"epsilon": []})
    with pytest.raises(
        WardroundError, match=r"^over: no job ended; epsilonn=1: epsilonn: unknown setting; did you"
    ):
        wardround.sweep({"epsilonn": [1]}, "experiment=tiny")
