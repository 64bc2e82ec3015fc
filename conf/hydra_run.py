"""Run Hydra's own command, a job or a sweep, with each error in one line.

By itself Hydra prints several lines for a wrong setting and exits with 1, and an exception in one job ends
a sweep. Here a person's error is one line on standard error, the other jobs of a sweep go on, and the
exit code is 2.
"""

import os
import re
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from wardround.conf.composed_once import composed_once
from wardround.conf.explain import explain
from wardround.conf.signs import as_written
from wardround.conf.sweep_table import by_key, next_number, varied, write_jobs
from wardround.protocol.command_line.exit_codes import FAULT, OK, STOPPED, USER_ERROR
from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.protocol.files import read_bounded
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.say import complain, say, show_fault


@dataclass(frozen=True, eq=False)
class SweepJob:
    """One job of a sweep, composed and checked.

    number: of its folder. plain, settings: as composed, and frozen. varied: what it was given that another was not.
    """

    number: int
    plain: dict[str, object]
    folder: Path
    settings: Any
    varied: str = ""


RunJobs = Callable[[Sequence[SweepJob]], Iterator[int]]
"""What runs a sweep's jobs, in any order, and gives each one's exit code in theirs."""

BeginSweep = Callable[[SweepJob], AbstractContextManager[RunJobs]]
"""Called with a sweep's first job while Hydra composes the others: what it starts ends with the context."""

# What simulate.yaml tells Hydra, for a run's own config.yaml in its place: without it Hydra takes another folder.
_AS_COMPOSED = (
    "hydra.run.dir=${output_dir}",
    "hydra.sweep.dir=${output_dir}",
    "hydra.sweep.subdir=${hydra:job.num}",
    "hydra.job.name=wardround-simulate",
    "hydra.output_subdir=null",
    "hydra/job_logging=wardround",
    "hydra/hydra_logging=wardround",
)

_LAUNCHER = "hydra/launcher: leave it out; a sweep runs its jobs side by side by itself (federation.workers processes)"
_OVERRIDE = re.compile(r"~|[+]{0,2}[A-Za-z_][\w./@:-]*=")


def run(
    config_name: str,
    job: Callable[[Any], object],
    after_sweep: Callable[[Path], object] | None = None,
    freeze: Callable[[dict[str, object], Path], object] | None = None,
    begin_sweep: BeginSweep | None = None,
) -> int:
    """Compose the command line's settings, or each of a sweep's, and hand them to ``job``.

    freeze makes frozen settings of what was composed and the run's folder; by default those of a study.
    begin_sweep gives what runs a sweep's jobs, once all are composed; by default each is handed to ``job`` in turn.
    after_sweep gets the sweep's folder once all jobs have ended, failed ones included. Returns the exit
    code: 0; 2 when a person can fix what went wrong; 1 for a fault of the program in a sweep; 130 when stopped.
    ``--hydra-help`` and its like leave by SystemExit. In a single run, a fault of ours is raised.
    """
    # Hydra would else print errors itself, in several lines, and exit with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    jobs = _Jobs(job, freeze or _study_settings, begin_sweep)
    try:
        _read_flags()
        with composed_once():
            hydra.main(version_base="1.3", config_path="pkg://wardround.conf", config_name=config_name)(
                jobs
            )()
        jobs.run_postponed()
    except KeyboardInterrupt:
        jobs.code = STOPPED
        _say("stopped")
    except (HydraException, OmegaConfBaseException, ArgumentTypeError) as error:
        jobs.failed(explain(error, sys.argv[1:], config_name))
    except (OSError, ValueError) as error:
        if jobs.started:
            raise
        # Before the first job these are Hydra's own: a folder that cannot be made, a range without a step.
        jobs.failed(explain(error, sys.argv[1:], config_name))
    except Exception:
        # The launcher's own, of whatever kind, around what __reduce__ raised.
        if not jobs.sent_elsewhere:
            raise
        jobs.failed(_LAUNCHER)
    finally:
        jobs.end_sweep()
    if jobs.sweep_dir is not None and after_sweep is not None:
        after_sweep(jobs.sweep_dir)
    return jobs.code


class _Jobs:
    """The task that Hydra calls, once or for each job of a sweep; keeps the exit code."""

    def __init__(
        self,
        job: Callable[[Any], object],
        freeze: Callable[[dict[str, object], Path], object],
        begin_sweep: BeginSweep | None,
    ) -> None:
        self._job, self._freeze, self._begin_sweep = job, freeze, begin_sweep
        self._postponed: list[SweepJob] = []
        self._given: dict[str, Sequence[str]] = {}
        self._first_number: int | None = None
        self._run_jobs: RunJobs | None = None
        self._begun = ExitStack()
        self.code = OK
        self.started = self.sent_elsewhere = False
        self.sweep_dir: Path | None = None

    def __reduce__(self) -> NoReturn:
        """Go to no other process, where a job would run unseen, or never: a launcher of others sends it there."""
        self.sent_elsewhere = True
        raise ConfigurationError(_LAUNCHER)

    def __call__(self, config: DictConfig) -> None:
        """Run one job. An error raised from here would make Hydra print more, and end a sweep."""
        own = HydraConfig.get()
        sweeping = own.mode == RunMode.MULTIRUN
        self.started = True
        if sweeping:
            self.sweep_dir = _near(Path(own.sweep.dir))
        folder = _near(Path(own.runtime.output_dir))
        if sweeping:
            folder = self._place(folder, int(own.job.num), list(own.overrides.task))
        try:
            plain = _plain(config)
            settings = self._freeze(plain, folder)
            if sweeping and self._begin_sweep is not None:
                number = int(own.job.num) + (self._first_number or 0)
                self._postponed.append(SweepJob(number, plain, folder, settings))
                if self._run_jobs is None:
                    self._run_jobs = self._begun.enter_context(self._begin_sweep(self._postponed[0]))
            else:
                self._job(settings)
        except WardroundError as error:
            self.failed(str(error))
            _remove_empty(folder)
        except OmegaConfBaseException as error:
            self.failed(explain(error, [], ""))
            _remove_empty(folder)
        except Exception:
            if not sweeping:
                raise
            show_fault(*sys.exc_info())
            self.code = self.code or FAULT

    def _place(self, made: Path, number: int, overrides: Sequence[str]) -> Path:
        """Give a job of a sweep its folder, behind those of an earlier sweep there, and note what it was given.

        made: the folder that Hydra made, by its own number.
        """
        sweep_dir = made.parent
        if made.name != str(number):
            return made  # a person gave hydra.sweep.subdir
        if self._first_number is None:
            self._first_number = next_number(sweep_dir)
        folder = sweep_dir / str(self._first_number + number)
        self._given[folder.name] = overrides
        write_jobs(sweep_dir, self._given)
        if folder != made:
            folder.mkdir(exist_ok=True)
            if made.name not in self._given:
                with suppress(OSError):
                    made.rmdir()  # one that an earlier job filled stays
        return folder

    def run_postponed(self) -> None:
        """Run the jobs of a sweep that were composed; one that failed leaves the others."""
        if self._run_jobs is None:
            return
        differences = varied({job: by_key(overrides) for job, overrides in self._given.items()})
        jobs = [replace(job, varied=differences.get(job.folder.name, "")) for job in self._postponed]
        for job, code in zip(jobs, self._run_jobs(jobs), strict=True):
            if code == USER_ERROR:
                _remove_empty(job.folder)
            # What a person can fix is said before a fault of ours.
            self.code = USER_ERROR if USER_ERROR in (code, self.code) else self.code or code

    def end_sweep(self) -> None:
        """End what was begun for a sweep."""
        self._begun.close()

    def failed(self, line: str) -> None:
        """Say what a person can fix."""
        _say(line)
        self.code = USER_ERROR


def _study_settings(plain: dict[str, object], output_dir: Path) -> object:
    # Only a run needs the contract's and the settings' modules; --help does not wait for them.
    from wardround.conf.compose import load_plugins, study_settings

    # First: checking the settings asks which plugins this process knows.
    load_plugins(plain)
    return study_settings(plain, output_dir)


def _plain(config: DictConfig) -> dict[str, object]:
    plain = OmegaConf.to_container(config, resolve=True)
    if not isinstance(plain, dict):
        raise TypeError("a composed configuration is a mapping")
    return {str(key): value for key, value in plain.items()}


def _read_flags() -> None:
    """Say wrong flags in one line; let overrides stand before, between and after flags."""
    arguments = sys.argv[1:]
    if "--version" in arguments:
        say(f"wardround {version('wardround')}")
        sys.exit(OK)
    overrides = [as_written(argument) for argument in arguments if _OVERRIDE.match(argument)]
    flags = [argument for argument in arguments if not _OVERRIDE.match(argument)]
    # argparse takes positional arguments in one run: what stands behind a flag would be left over.
    sys.argv[1:] = flags + overrides
    parser = get_args_parser()
    # argparse's own prints the usage and exits.
    parser.error = _refuse_flags  # type: ignore[method-assign]
    given = parser.parse_args()
    if given.config_dir and given.config_name and _is_a_runs_own(Path(given.config_dir), given.config_name):
        # Before what was typed, which wins.
        sys.argv[1:] = [*flags, *_AS_COMPOSED, *overrides]


def _is_a_runs_own(folder: Path, name: str) -> bool:
    """Whether a primary config holds a study alone, as a run's config.yaml does, and nothing for Hydra."""
    try:
        plain = read_yaml(read_bounded(folder / f"{name.removesuffix('.yaml')}.yaml", LARGEST_YAML), name)
    except (OSError, WardroundError):
        return False  # Hydra says in its own words what is wrong
    return isinstance(plain, dict) and not {"hydra", "defaults"} & set(plain)


def _refuse_flags(message: str) -> NoReturn:
    raise ArgumentTypeError(message)


def _near(path: Path) -> Path:
    """The path as a person would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _remove_empty(folder: Path) -> None:
    """Hydra makes a run's folder before the run: one that failed at once leaves none behind."""
    with suppress(OSError):
        folder.rmdir()
        if not folder.is_absolute():
            os.removedirs(folder.parent)


def _say(line: str) -> None:
    complain(" ".join(line.split()))
