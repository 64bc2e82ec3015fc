"""Become a SuperNode with a shifted clock: the product passes on no setting that could shift it."""

import os
import sys
from pathlib import Path
from typing import Any

import wardround.client.network.supernode
from wardround.client.main import main

told = wardround.client.network.supernode.environment


def with_clock(*arguments: Any) -> dict[str, str]:
    shift = {"PYTHONPATH": str(Path(__file__).parent / "clock")}
    return {**told(*arguments), **shift, "WARDROUND_CLOCK_SHIFT": os.environ["WARDROUND_CLOCK_SHIFT"]}


wardround.client.network.supernode.environment = with_clock
sys.exit(main())
