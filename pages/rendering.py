"""How a page is made: templates that escape by themselves, and one way for every value into them.

Whatever is filled in passes ``_shown``: one bounded line that a person can see (``protocol.text.text``), then Jinja's
escaping. No template may lift that (``test_no_template_lifts_the_escaping``).
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from wardround.protocol.text.numerals import small_number
from wardround.protocol.text.text import visible

TEMPLATES = Path(__file__).parent / "templates"
_MOST_SHOWN = 4000


def page_environment(folders: Sequence[Path]) -> Environment:
    """Make the environment of a side's pages. folders: of its templates; the shared ones come last."""
    environment = Environment(
        autoescape=True,
        # A misspelt name must fail, and not leave a gap where a person decides.
        undefined=StrictUndefined,
        loader=FileSystemLoader([*folders, TEMPLATES]),
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"small": small_number, "figure": figure, "moment": moment, "whole": whole}
    return environment


def _shown(value: Any) -> Any:
    # Markup is what our own macros made, of values that came this way.
    return value if isinstance(value, Markup) else visible("" if value is None else value, _MOST_SHOWN)


def figure(value: float) -> str:
    """Write a number of three digits: ``0.123``."""
    return f"{float(value):.3g}"


def whole(value: float) -> str:
    """Write a whole number with its thousands apart."""
    return f"{int(value):,}"


def moment(value: str) -> str:
    """Write a time of the ledger, ISO in UTC: ``2026-11-29 16:00``."""
    return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M}"
