"""Hydra's own command: exit codes, one line per error, sweeps that outlive a failing job."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, OmegaConf

from tests.builders import ROOT
from wardround.conf import hydra_run
from wardround.conf.compose import settings_to_mapping, study_settings
from wardround.conf.help import help_text
from wardround.conf.settings import StudySettings
from wardround.conf.sweep_table import read_jobs, varied
from wardround.protocol.errors import TableError
from wardround.simulations.main import main


class Jobs:
    """A job that records its settings; seed 13 is a user's error, seed 99 a fault of ours."""

    def __init__(self) -> None:
        self.settings: list[StudySettings] = []
        self.frontiers: list[Path] = []

    def run(self, settings: StudySettings) -> None:
        self.settings.append(settings)
        if settings.seed == 13:
            raise TableError("table: column 'age'\nis missing")
        if settings.seed == 99:
            raise RuntimeError("a fault of ours")

    def run_command(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["wardround-simulate", *arguments])
        return hydra_run.run("simulate", self.run, self.frontiers.append)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")


def test_a_run_gets_its_settings_and_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs()
    assert jobs.run_command(monkeypatch, "privacy.epsilon=2", "output_dir=here") == 0
    assert [(s.privacy.epsilon, s.output_dir) for s in jobs.settings] == [(2.0, Path("here"))]
    assert list(Path("here").iterdir()) == []
    assert jobs.frontiers == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            "privacy.epsilonn=1",
            "privacy.epsilonn=1: unknown key; did you mean privacy.epsilon? allowed: privacy.eps",
        ),
        ("+privacy.epsilonn=1", "privacy.epsilonn=1: unknown key; did you mean privacy.epsilon?"),
        ("sed=3", "sed=3: unknown key; did you mean seed? allowed: "),
        ("modle=mlp", "modle=mlp: unknown key; did you mean model? allowed: "),
        (
            "data=noshow data.pth=x",
            "data.pth=x: unknown key; did you mean data.path? allowed: data.name, data.path",
        ),
        ("hydra.sweeps=3", "hydra.sweeps: unknown key of Hydra's; see --hydra-help"),
        ("~contrct", "~contrct: unknown key; did you mean contract? allowed: "),
        ("model=cnn", "model=cnn: must be one of additive, interactions, mlp, wide_deep"),
        ("-m model=cnn,mlp", "model=cnn: must be one of additive, interactions, mlp, wide_deep"),
        ("privacy=[strict,lax]", "privacy=lax: must be one of relaxed, standard, strict"),
        ("+model=mlp", "model: chosen already; write model=OPTION, without +"),
        ("privacy.epsilon=0", "privacy.epsilon=0.0: must be greater than 0 and finite"),
        ("privacy.epsilon=", "privacy.epsilon=: must be a number"),
        ("privacy.epsilon", "privacy.epsilon: cannot be read; write key=value"),
        ("seed=[1", "seed=[1: cannot be read; write key=value"),
        ("model=mlp seed=[1 privacy.epsilon=2", "seed=[1: cannot be read; write key=value"),
        ("seed=1 model", "model: cannot be read; write key=value"),
        ("-m seed=1,2 privacy.epsilon={1", "privacy.epsilon={1: cannot be read; write key=value"),
        ("seed=0,1", "seed=0,1: several values are a sweep and need -m"),
        ("seed=${nothing}", "seed: Interpolation key 'nothing' not found"),
        ("seed=13", "table: column 'age'\\nis missing"),
        ("output_dir=/dev/null/x", "output_dir=/dev/null/x: "),
        ("--colour", "unrecognized arguments: --colour; see --help"),
        ("--config-name elsewhere", "Cannot find primary config 'elsewhere'."),
        ("-m --cfg job", "Only one of --run, --multirun"),
        ("data=noshow", "data.path=null: data=noshow needs a path"),
        ("contract.crosses=[[age,heigth]]", "contract.crosses"),
        ("contract.events_per_patient=0", "contract.events_per_patient=0 (K): must be at least 1"),
    ],
)
def test_what_a_person_can_mend_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, line: str
) -> None:
    assert Jobs().run_command(monkeypatch, *arguments.split(" ")) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(line)
    assert printed.err.count("\n") == 1
    assert "Error executing" not in printed.out
    if "-m" not in arguments:
        assert list(Path().iterdir()) == []


def test_a_runs_own_settings_run_again_in_the_folder_that_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra took a folder of its own, with the date, whatever output_dir said."""
    jobs = Jobs()
    assert jobs.run_command(monkeypatch, "privacy.epsilon=2", "output_dir=first") == 0
    plain = settings_to_mapping(jobs.settings[0])
    Path("run").mkdir()
    Path("run/config.yaml").write_text(yaml.safe_dump(plain))
    given = ("--config-dir", "run", "--config-name", "config")
    assert jobs.run_command(monkeypatch, *given) == 0
    assert jobs.run_command(monkeypatch, *given, "output_dir=second/below", "seed=4") == 0
    assert [(s.output_dir, s.seed) for s in jobs.settings[1:]] == [
        (Path("first"), 0),
        (Path("second/below"), 4),
    ]
    assert jobs.settings[1] == jobs.settings[0]
    assert sorted(path.name for path in Path().iterdir()) == ["first", "run", "second"]
    assert list(Path("first").iterdir()) == list(Path("second/below").iterdir()) == []


def test_what_the_rule_chooses_is_null_in_a_runs_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.0 is a learning rate that nobody chose, and no setting that a person may write."""
    jobs = Jobs()
    assert jobs.run_command(monkeypatch, "output_dir=here") == 0
    plain = settings_to_mapping(jobs.settings[0])
    by_rule = {
        "privacy": ("clip_norm",),
        "training": ("rounds", "moment_rounds", "learning_rate", "tail_average"),
        "evaluation": ("overall_share", "noise_multiplier"),
    }
    assert {plain[group][key] for group, keys in by_rule.items() for key in keys} == {None}
    assert study_settings(plain) == jobs.settings[0]


def test_a_fault_of_ours_is_raised_in_a_single_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="a fault of ours"):
        Jobs().run_command(monkeypatch, "seed=99")


@pytest.mark.parametrize(
    ("seeds", "code"),
    [
        ("0,13,2", 2),
        ("0,99,2", 1),
        pytest.param("99,13,2", 2, marks=pytest.mark.slow),
        pytest.param("0,1,2", 0, marks=pytest.mark.slow),
    ],
)
def test_a_failing_job_leaves_the_others_and_the_frontier(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seeds: str, code: int
) -> None:
    jobs = Jobs()
    assert jobs.run_command(monkeypatch, f"seed={seeds}", "output_dir=sweep", "-m") == code
    expected = [int(seed) for seed in seeds.split(",")]
    assert [s.seed for s in jobs.settings] == expected
    assert [s.output_dir for s in jobs.settings] == [Path(f"sweep/{number}") for number in range(3)]
    assert jobs.frontiers == [Path("sweep")]
    assert ("Traceback" in capsys.readouterr().err) == (99 in expected)


@pytest.mark.slow
def test_a_sweeps_jobs_are_numbered_whatever_their_settings_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A "/" made nested folders, which no frontier found; a long list was no folder's name, and ended the sweep."""
    jobs = Jobs()
    long = "training.public_patients={" + ",".join(f"hospital_{number}:100" for number in range(60)) + "}"
    assert jobs.run_command(monkeypatch, "privacy.epsilon=0,-1", "output_dir=sweep", "-m") == 2
    assert (
        jobs.run_command(
            monkeypatch, "data=noshow", "data.path=t/a.csv,t/b.csv", long, "output_dir=sweep", "-m"
        )
        == 0
    )
    places = [Path(f"sweep/{number}") for number in (2, 3)]
    assert [settings.output_dir for settings in jobs.settings] == places
    table = read_jobs(Path("sweep"))
    assert [table[str(number)].get("data.path") for number in range(4)] == [None, None, "t/a.csv", "t/b.csv"]
    assert table["2"]["training.public_patients"] == long.partition("=")[2]
    assert varied({job: table[job] for job in ("2", "3")}) == {
        "2": "data.path=t/a.csv",
        "3": "data.path=t/b.csv",
    }


def test_a_launcher_of_others_is_refused_and_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its processes would run jobs that nobody here hears of: 0.1.0 ended with exit code 0 and no run."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    jobs = Jobs()
    # By itself it would start no process where there is one core alone.
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    code = jobs.run_command(monkeypatch, "-m", *launcher, "seed=1,2", f"output_dir={tmp_path / 'sweep'}")
    assert (code, jobs.settings) == (2, [])
    assert "a sweep runs its jobs side by side by itself" in capsys.readouterr().err
    assert not list(tmp_path.glob("sweep/*/*"))


@pytest.mark.slow
def test_a_sweep_into_an_earlier_ones_folder_goes_on_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs()
    for seeds in ("0,1", "2,3,4"):
        assert jobs.run_command(monkeypatch, f"seed={seeds}", "output_dir=sweep", "-m") == 0
        for settings in jobs.settings:
            (settings.output_dir / "summary.json").write_text("{}")
    assert [(s.seed, str(s.output_dir)) for s in jobs.settings] == [(n, f"sweep/{n}") for n in range(5)]
    assert {job: row["seed"] for job, row in read_jobs(Path("sweep")).items()} == {
        str(n): str(n) for n in range(5)
    }
    assert sorted(path.name for path in Path("sweep").iterdir() if path.is_dir()) == [
        str(n) for n in range(5)
    ]


def test_a_presets_values_yield_to_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs()
    assert jobs.run_command(monkeypatch, "training.rounds=3", "experiment=quick") == 0
    assert (jobs.settings[0].study, jobs.settings[0].training.rounds) == ("quick", 3)


def test_flags_and_overrides_may_stand_in_any_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        assert Jobs().run_command(patched, "privacy.epsilon=2", "--cfg", "job", "seed=5") == 0
    composed = capsys.readouterr().out
    assert "epsilon: 2" in composed
    assert "seed: 5" in composed


def test_help_explains_every_group_and_option_and_ten_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["wardround-simulate", "data=noshow", "--help"])
    assert main() == 0
    text = capsys.readouterr().out
    explained = text.partition("Groups (")[2].partition("\nThe ten settings")[0]
    options: dict[str, set[str]] = {}
    for file in (ROOT / "conf").glob("*/*.yaml"):
        options.setdefault(file.parent.name, set()).add(file.stem)
    for group, names in options.items():
        lines = explained.partition(f"\n  {group} ")[2].splitlines()
        listed = {name.split("(")[0].strip() for name in lines[1].split("|")} - {""}
        assert listed == names
    settings = text.partition("The ten settings that matter most")[2].partition("\n\n")[0].splitlines()[1:]
    assert len(settings) == 10
    assert max(len(line) for line in text.splitlines()) <= 110


def test_each_setting_in_the_help_exists() -> None:
    keys = [line.split()[0] for line in help_text("simulate").partition("The ten")[2].splitlines()[1:11]]
    with initialize_config_module("wardround.conf", version_base="1.3"):
        config = compose("simulate")
    for key in keys:
        group, _, name = key.rpartition(".")
        assert name in (OmegaConf.select(config, group) if group else config), key


def test_asking_for_help_waits_for_nothing_heavy() -> None:
    program = (
        "import sys, wardround.conf.hydra_run, wardround.simulations.main\n"
        "print({'torch', 'flwr', 'polars', 'opacus', 'scipy', 'ray'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == "set()"


def test_a_sweeps_jobs_are_composed_once_and_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra composed each twice; one that stands there twice must not get the folder of the other."""
    whole, composed = ConfigLoaderImpl.load_sweep_config, []

    def counted(loader: ConfigLoaderImpl, master: DictConfig, overrides: list[str]) -> DictConfig:
        composed.append(overrides)
        return whole(loader, master, overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counted)
    jobs = Jobs()
    assert jobs.run_command(monkeypatch, "seed=0,1,1", "output_dir=sweep", "-m") == 0
    assert [(s.seed, str(s.output_dir)) for s in jobs.settings] == [
        (0, "sweep/0"),
        (1, "sweep/1"),
        (1, "sweep/2"),
    ]
    assert [next(o for o in one if o.startswith("seed")) for one in composed].count("seed=0") == 1
    assert ConfigLoaderImpl.load_sweep_config is counted
