"""``python -m wardround.simulations.methods zoo``: methods × the zoo's federations × seeds, resumable.

Cells are kept one by one, as those of the accuracy benchmark are. Without ``--look`` only the twelve federations for
choosing run; with it, those of another part do, and docs/lab/zoo-looks.md says so from before it began.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import complain, say
from wardround.simulations.methods.zoo_looks import write_look

if TYPE_CHECKING:
    from wardround.simulations.methods.runner import Task
    from wardround.simulations.population.zoo_design import ZooFederation

DOCS = Path(__file__).resolve().parents[2] / "docs" / "lab"
LOOKS = DOCS / "zoo-looks.md"
BESIDE = ("opacus_fedavg", "boosting", "mean_regularised", "frozen_body", "newton_gram")
"""Methods beside the default where ``--methods all`` is asked for."""
SEEDS = 3
FIRST_SEED = 3000


def main(arguments: Sequence[str]) -> int:
    """Run what is not on disk yet and write the page; 1 where a federation failed, 2 where the command is wrong."""
    given = _parse(arguments)
    # Only now: `main` of the benchmark has set the threads that numerical libraries read when imported.
    from wardround.simulations.methods.release_0_1_0 import run_release
    from wardround.simulations.methods.runner import run_tasks
    from wardround.simulations.methods.store import code_digest
    from wardround.simulations.methods.zoo_page import write_page

    try:
        federations, methods = _asked(given)
        tasks = plan(federations, methods, given, code := code_digest())
    except ValueError as error:
        complain(str(error))
        return 2
    if given.look:
        write_look(given.looks, given.look, code, [one.name for one in federations], methods)
    started = time.perf_counter()
    failed = []
    try:
        for task in tasks if given.release_0_1_0 and not given.page_only else ():
            run_release(given.release_0_1_0, task)
    except ConfigurationError as error:
        complain(str(error))
        failed.append(str(error))
    failed += [] if given.page_only else run_tasks(tasks, given.workers, say)
    say(f"{time.perf_counter() - started:.0f} s")
    part = federations[0].part
    missing = sum(len(task.cells) - len(task.records()) for task in tasks)
    page = given.out / f"zoo-{part}.md"
    write_page(tasks, federations, part, page)
    say(*failed, f"{missing} cells missing", str(page))
    return 1 if failed else 0


def _asked(given: argparse.Namespace) -> "tuple[list[ZooFederation], list[str]]":
    """Give the federations of one part that may be looked at, and the methods. ValueError with value and remedy."""
    from wardround.simulations.methods.cases import EPSILONS, NOISES
    from wardround.simulations.methods.compared import DEFAULT, registry
    from wardround.simulations.population.zoo_design import BY_NAME, CHOOSING, PARTS, UNTOUCHED, ZOO

    names = (
        [*BESIDE, *(name for name in given.methods if name != "all")]
        if "all" in given.methods
        else given.methods
    )
    _check("--methods", names, list(registry()))
    _check("--noises", given.noises, NOISES)
    _check("--epsilons", [f"{one:g}" for one in given.epsilons], [f"{one:g}" for one in EPSILONS])
    _check("--only", given.only, list(BY_NAME))
    part = given.part or (UNTOUCHED if given.look else CHOOSING)
    _check("--part", [part], PARTS)
    asked = [one for one in ZOO if one.part == part and (not given.only or one.name in given.only)]
    hidden = [name for name in given.only if BY_NAME[name].part != CHOOSING]
    hidden += [one.name for one in asked if one.part != CHOOSING]
    if hidden and not given.look:
        raise ValueError(
            f"{hidden[0]}: is of a part that is looked at once; to look, say why: --look WHY, which is written into "
            f"{given.looks}"
        )
    if not asked:
        raise ValueError(f"--only {','.join(given.only)}: none is of the part {part}; name another: --part")
    return asked, list(dict.fromkeys([DEFAULT, *names]))


def plan(
    federations: "Sequence[ZooFederation]", methods: Sequence[str], given: argparse.Namespace, code: str
) -> "list[Task]":
    """Give one task for each federation and seed, the smallest first: a run that is stopped has whole federations."""
    from wardround.simulations.methods.cases import Case
    from wardround.simulations.methods.column import REFERENCES, cells_of
    from wardround.simulations.methods.compared import registry
    from wardround.simulations.methods.runner import Task

    seeds = tuple(range(FIRST_SEED, FIRST_SEED + given.seeds))
    tasks, personal = [], () if given.no_personal else (1.0,)
    for one in sorted(federations, key=lambda one: one.patients * one.events * one.fields):
        case = Case(
            name=one.name, title=one.name, seeds=seeds, delta=one.delta, zoo=one.name, personal=personal
        )
        own = [registry()[name] for name in methods]
        cells = tuple(
            cell
            for cell in cells_of(own, given.noises, given.epsilons)
            if cell.method != REFERENCES or not given.no_references
        )
        tasks += [Task(case, seed, cells, code, "", given.store) for seed in seeds]
    return tasks


def _check(option: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{option} {name}: must be among {', '.join(known)}")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m wardround.simulations.methods zoo", description=__doc__)
    parser.add_argument(
        "--methods", type=_names, default=(), help="beside the default, as in boosting, or all"
    )
    parser.add_argument("--only", type=_names, default=(), help="federations, as in zoo_03,zoo_07")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"so many, from {FIRST_SEED}")
    parser.add_argument("--epsilons", type=_numbers, default=(1.0,), help="as in 0.5,1,3,8")
    parser.add_argument("--noises", type=_names, default=("local",), help="local, secure")
    parser.add_argument(
        "--look", type=str.strip, default="", metavar="WHY", help="run the untouched half instead"
    )
    parser.add_argument(
        "--part", default="", help="choosing, or with --look untouched (then by itself) or fresh"
    )
    parser.add_argument(
        "--release-0-1-0", type=Path, metavar="CHECKOUT", help="run release 0.1.0 as well, from its checkout"
    )
    parser.add_argument(
        "--no-personal", action="store_true", help="without the hospitals' own parts, a third of the time"
    )
    parser.add_argument(
        "--no-references",
        action="store_true",
        help="without pooled boosting and the others that see all records",
    )
    parser.add_argument("--page-only", action="store_true", help="run nothing; write what is there")
    parser.add_argument("--store", type=Path, default=Path("outputs/zoo"), help="folder of finished cells")
    parser.add_argument("--out", type=Path, default=Path("outputs/zoo"), help="folder of zoo-choosing.md")
    parser.add_argument("--looks", type=Path, default=LOOKS, help="where looks are written down")
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    return parser.parse_args(arguments)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in _names(text))
