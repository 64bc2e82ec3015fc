"""No page shows anything of a patient, whatever the tables hold and however they are damaged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client.commands.test_nothing_personal import AT_ONCE, FAULTS, MARK, NUMBER, marked


@pytest.mark.parametrize(
    "break_it",
    [fault if fault in AT_ONCE else pytest.param(fault, marks=pytest.mark.slow) for fault in FAULTS],
    ids=lambda fault: fault.__name__,
)
def test_no_page_shows_anything_personal(console, browse, break_it: Callable[[Path], None]) -> None:
    console.hospital.write_tables(marked())
    break_it(console.hospital.folder)
    study = f"/studies/{console.hospital.terms.fingerprint}"
    pages = {
        "privacy": (
            "/overview",
            "/ledger",
            "/ledger/check",
            "/studies",
            study,
            f"{study}/decide",
            "/peers",
            "/alerts",
        ),
        "it": ("/machine", "/machine/doctor", "/alerts"),
        "communications": ("/messages", "/texts", "/standing", "/sending", "/results"),
    }
    for role, paths in pages.items():
        browser = browse(role)
        for path in paths:
            page = browser.get(path)
            assert page.status_code == (
                409 if path.endswith("/decide") and page.status_code != 200 else 200
            ), path
            assert len(page.text) > 1000
            assert MARK not in page.text, path
            assert NUMBER not in page.text, path
