"""Who looked at a part of the zoo that is not for choosing, when, and why: a line in docs/lab before anything runs."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

HEAD = """# Looks at what is not for choosing in the zoo

The federations that are not for choosing (`zoo_13` to `24`, then `zoo_25` to `36`) are looked at
once, when a method is finished. Each look stands here from before it began
(`simulations/methods/zoo_looks.py`). Nothing may be chosen by what was seen.

| when (UTC) | code | federations | methods | why |
| --- | --- | --- | --- | --- |
"""


def write_look(page: Path, why: str, code: str, federations: Sequence[str], methods: Sequence[str]) -> None:
    """Add one line, on the disk before this returns: a run that is killed has looked as well."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    cells = [when, code[:12], ", ".join(federations), ", ".join(methods), why]
    # A bar or a line feed within a cell would end it.
    line = "| " + " | ".join(" ".join(cell.replace("|", "/").split()) for cell in cells) + " |\n"
    fresh = not page.exists()
    page.parent.mkdir(parents=True, exist_ok=True)
    with page.open("a", encoding="utf-8") as file:
        file.write((HEAD if fresh else "") + line)
        file.flush()
        os.fsync(file.fileno())
