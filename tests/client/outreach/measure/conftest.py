"""A hospital whose outreach is measured."""

import json
from typing import Any

import pytest

from tests.client.outreach.measure.trials import begin_trial, write_protocol
from wardround.client.main import main


@pytest.fixture
def trial(hospital: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    """A simulated home with a protocol that nobody signed yet; ``run`` runs one command of outreach."""

    def run(*arguments: str, plain: bool = False) -> tuple[int, Any, str]:
        words = ["outreach", *arguments, "--home", str(hospital.folder)]
        code = main(words if plain else [*words, "--json"])
        printed = capsys.readouterr()
        return code, printed.out if plain or not printed.out else json.loads(printed.out), printed.err

    hospital.run = run
    begin_trial(hospital)
    write_protocol(hospital)
    return hospital
