"""One program of (c): the study's private rounds over exported patients, start-up included."""

import sys
from pathlib import Path

from wardround.simulations.bench.noshow import train
from wardround.simulations.federation.shared_federation import open_shared


def main(folder: str) -> None:
    """Open what ``noshow.export`` wrote and train."""
    federation, terms = open_shared(Path(folder))
    train(federation, terms)


if __name__ == "__main__":
    main(sys.argv[1])
