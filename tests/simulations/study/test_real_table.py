"""A simulation on a real table says that its folder protects nobody, and holds no identifier and no hash of rows."""

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from wardround.conf.compose import study_settings
from wardround.conf.settings import ReportSettings, StudySettings
from wardround.simulations.federation.datasets import NOSHOW_COLUMNS
from wardround.simulations.federation.federation import load_federation
from wardround.simulations.report.run_files import RunFiles
from wardround.simulations.report.summary import PROTECTS_NOBODY_WARNING, Results
from wardround.simulations.study import study

PLACES = ("CENTRO", "GOIABEIRAS", "MARUIPE")


def rows() -> list[str]:
    """300 patients at three places, two appointments each, every one with an identifier of its own."""
    draw = np.random.default_rng(5)
    found = []
    for patient in range(300):
        age, sex, place = draw.integers(1, 90), draw.choice(["F", "M"]), PLACES[patient % 3]
        for day in draw.choice(28, 2, replace=False) + 1:
            flags = ",".join(str(flag) for flag in draw.integers(0, 2, 5))
            missed = draw.choice(["No", "Yes"], p=[0.75, 0.25])
            found.append(
                f"8675309{patient:04d},{sex},2016-04-{day:02d}T09:00:00Z,2016-05-{day:02d}T00:00:00Z,{age},{place},"
                f"{flags},{draw.integers(0, 2)},{missed}"
            )
    return found


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudySettings, RunFiles]:
    folder = tmp_path_factory.mktemp("real")
    table = folder / "appointments.csv.gz"
    table.write_bytes(gzip.compress("\n".join([",".join(NOSHOW_COLUMNS), *rows(), ""]).encode()))
    overrides = [
        "data=noshow",
        f"data.path={table}",
        "training.rounds=2",
        "privacy.delta=2e-3",
        "federation.cache=false",
    ]
    with initialize_config_module("wardround.conf", version_base="1.3"):
        plain = OmegaConf.to_container(compose("simulate", overrides), resolve=True)
    settings = study_settings(plain, folder / "run")  # type: ignore[arg-type]
    return settings, study.run(settings)


def test_summary_card_page_and_readme_say_that_the_folder_protects_nobody(real) -> None:
    _, files = real
    summary = json.loads(files.summary.read_text(encoding="utf-8"))
    assert summary["warnings"][0] == PROTECTS_NOBODY_WARNING
    assert "delta × patients=0.002 × 80=0.16 of the largest hospital" in summary["warnings"][1]
    folder = files.summary.parent
    for name in ("README.md", "model_card.html", "report.html"):
        said = " ".join((folder / name).read_text(encoding="utf-8").split())
        assert PROTECTS_NOBODY_WARNING in said, name
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    assert "protects nobody in the table" in card


def test_no_identifier_and_no_hash_of_rows_stands_in_the_folder(real) -> None:
    settings, files = real
    federation = load_federation(settings.data, settings.contract, settings.seed)
    manifest = json.loads(files.manifest.read_text(encoding="utf-8"))
    assert manifest["data_fingerprint"] is None
    assert len(federation.data_fingerprint) == 64
    table = settings.data.path
    assert table is not None
    hashes = [
        federation.data_fingerprint,
        hashlib.sha256(table.read_bytes()).hexdigest(),
        hashlib.sha256(gzip.decompress(table.read_bytes())).hexdigest(),
        *(token.tobytes().hex() for token in federation.training.tokens),
    ]
    for path in files.summary.parent.iterdir():
        content = path.read_bytes()
        assert b"8675309" not in content, path.name
        assert not [one for one in hashes if one.encode() in content or bytes.fromhex(one) in content], (
            path.name
        )


def test_a_generated_federation_keeps_its_fingerprint_and_needs_no_warning(example, tmp_path: Path) -> None:
    from wardround.simulations.report.run_files import write_run

    invented: Results = example()
    files = write_run(invented, tmp_path, ReportSettings(html=False))
    assert (
        json.loads(files.manifest.read_text(encoding="utf-8"))["data_fingerprint"]
        == invented.data_fingerprint
    )
    assert PROTECTS_NOBODY_WARNING not in invented.warnings
    assert not (tmp_path / "README.md").exists()
    write_run(replace(invented, real_table=True), tmp_path, ReportSettings(html=False))
    assert PROTECTS_NOBODY_WARNING in (tmp_path / "README.md").read_text(encoding="utf-8")
    write_run(invented, tmp_path, ReportSettings(html=False))
    assert not (tmp_path / "README.md").exists()  # of an earlier run
