"""``python -m wardround.simulations.methods.challengers``: what ships beside every challenger.

It fills the tables of docs/lab/methods.md.

Cells are those of ``simulations.methods``, kept in the same folder under the same keys, so that what one of the
two has measured the other does not measure again. A run that was killed goes on.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wardround.protocol.text.numerals import small_number
from wardround.protocol.text.say import say

if TYPE_CHECKING:
    from wardround.simulations.methods.cases import Case
    from wardround.simulations.methods.runner import Task
    from wardround.simulations.methods.summary import Found

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lab" / "methods.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
DATA = ("noshow", "heart", "synthetic")
EPSILONS = (1.0, 3.0)
SEEDS = 5
REFERENCES = ("pooled_boosting", "pooled", "alone", "best_possible")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not on disk yet; 0, or 1 where something failed or is missing and the page stays as it was."""
    given = _parse(arguments)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = "1"
    # After that: numerical libraries read it when they are imported.
    from wardround.simulations.methods.runner import run_tasks
    from wardround.simulations.methods.summary import summarise

    tasks = plan(given.data, given.only, given.seeds, given.store)
    failed = [] if given.page_only else run_tasks(tasks, given.workers, say)
    records = [task.records() for task in tasks]
    tables = page_tables(
        summarise([record for own in records for record in own]), [task.case for task in tasks]
    )
    missing = sum(len(task.cells) - len(own) for task, own in zip(tasks, records, strict=True))
    if failed or missing or given.only or given.seeds != SEEDS:
        say(*tables.splitlines())
        say(f"{missing} cells missing, {len(failed)} columns failed; only a whole run fills {PAGE}")
        return 1 if failed or missing else 0
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")
    say(str(PAGE))
    return 0


def plan(data: Path, only: Sequence[str], seeds: int, store: Path) -> "list[Task]":
    """Give one task for each data set and seed: references, what ships, all challengers, both noise modes."""
    from wardround.simulations.methods.cases import CASES, NOISES, present
    from wardround.simulations.methods.column import cells_of
    from wardround.simulations.methods.compared import registry
    from wardround.simulations.methods.runner import Task
    from wardround.simulations.methods.store import code_digest, table_digest

    code, tasks = code_digest(), []
    for case, missing in present(CASES, data):
        if case.name not in (only or DATA):
            continue
        if missing:
            say(f"{case.name}: {missing}")
            continue
        cells = tuple(cells_of(list(registry().values()), NOISES, EPSILONS))
        table = table_digest(data / case.file if case.file else None)
        chosen = replace(case, seeds=case.seeds[:seeds])
        tasks += [Task(chosen, seed, cells, code, table, store) for seed in chosen.seeds]
    return tasks


def page_tables(found: "Sequence[Found]", cases: "Sequence[Case]") -> str:
    """One section for each data set: AUC and its mean over hospitals, mean ± spread over seeds, as Markdown."""
    return "\n".join(_section(case, found) for case in {case.name: case for case in cases}.values())


def filled(page: str, tables: str) -> str:
    """Put the tables between the page's two marks. ValueError where it has not both."""
    before, begun, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"{PAGE} must hold the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables.strip()}\n\n{END}{after}"


def _section(case: "Case", found: "Sequence[Found]") -> str:
    from wardround.protocol.privacy.noise import LOCAL, SECURE, SUPPOSED
    from wardround.simulations.methods.tables import markdown, spread

    own = [one for one in found if one.data == case.name]
    known = {(one.method, one.noise, one.epsilon): one for one in own}
    # What was measured before there were secure sums stands under its own word.
    shared = SUPPOSED if any(one.noise == SUPPOSED for one in own) else SECURE.name
    grid = [(noise, epsilon) for epsilon in (1.0, 3.0) for noise in (LOCAL.name, shared)]
    head = ["method", "full noise, ε = 1", "macro", "shared, ε = 1", "macro", "full, ε = 3", "shared, ε = 3"]
    rows = []
    for method in dict.fromkeys(one.method for one in own if one.noise != "none"):
        cells = [known.get((method, *place)) for place in grid]
        texts = [spread(cell.spreads["auc"]) if cell else "–" for cell in cells]
        macro = [f"{cell.mean('macro_auc'):.4f}" if cell else "–" for cell in cells[:2]]
        rows.append([method, texts[0], macro[0], texts[1], macro[1], *texts[2:]])
    plain = [
        f"{one.method.replace('_', ' ')} {spread(one.spreads['auc'])} (macro {one.mean('macro_auc'):.4f})"
        for one in own
        if one.method in REFERENCES
    ]
    seeds = max((len(one.seeds) for one in own), default=0)
    about = f"{seeds} seeds, δ = {small_number(case.delta)}. Without privacy: {'; '.join(plain)}."
    return f"### {case.title}\n\n{about}\n\n{markdown(head, rows)}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m wardround.simulations.methods.challengers", description=__doc__
    )
    parser.add_argument("--data", type=Path, help="folder of noshow.csv.gz and heart/ (ACCURACY_DATA)")
    parser.add_argument(
        "--only", type=lambda text: tuple(text.split(",")), default=(), help="data, as in noshow"
    )
    parser.add_argument("--seeds", type=int, default=SEEDS, help="so many seeds of each data")
    parser.add_argument(
        "--store", type=Path, default=Path("outputs/accuracy"), help="folder of finished cells"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--page-only", action="store_true", help="run nothing; write what is there")
    given = parser.parse_args(arguments)
    given.data = given.data or Path(os.environ.get("ACCURACY_DATA", "../shared/data"))
    return given


if __name__ == "__main__":
    sys.exit(main())
