"""What each module of the program imports, and whether a digest of code covers it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from wardround.simulations.federation import code_digest
from wardround.simulations.federation.code_digest import Places

GRAPH = """
import grimp, json
graph = grimp.build_graph("wardround", cache_dir=None)
print(json.dumps({module: sorted(graph.find_upstream_modules(module)) for module in graph.modules}))
"""


def graph_of_imports(place: Path) -> dict[str, set[str]]:
    """What each module of the whole program imports, directly or not.

    In a process of its own: grimp walks the folder that a package was imported from, and the rooms lie beside api/.
    """
    root = Path(code_digest.__file__).parents[2]
    subprocess.run([root / "scripts/names.sh", place], check=True)
    environment = {**os.environ, "PYTHONPATH": str(place / "names")}
    found = subprocess.run([sys.executable, "-c", GRAPH], check=True, capture_output=True, env=environment)
    return {module: set(needed) for module, needed in json.loads(found.stdout).items()}


def not_covered(needs: Mapping[str, set[str]], start: Iterable[str], places: Places) -> set[str]:
    """Modules that those of ``start`` import, and that no place covers."""
    needed = set(start).union(*(needs[module] for module in start))
    covered = [
        f"{package}/{place}".removesuffix(".py").strip("/").replace("/", ".") for package, place in places
    ]
    packages = {"wardround", "wardround.client", "wardround.server", "wardround.simulations"}
    packages.add("wardround.simulations.federation")
    return {
        m for m in needed - packages if not any(m == place or m.startswith(f"{place}.") for place in covered)
    }
