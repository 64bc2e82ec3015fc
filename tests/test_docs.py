"""What the pages say of the project is there: tests, files and commands that they name."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "SECURITY.md", *ROOT.glob("docs/*.md")])
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py"))
TEST_FILES = {path.name for path in ROOT.glob("tests/**/test_*.py")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"\btest_\w+(?:\.py)?\b", page.read_text(encoding="utf-8")))
    missing = [n for n in named if n not in TEST_FILES and f"def {n}(" not in TESTS]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_source_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [page.parent / link for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)]
    sources = [
        ROOT / name for name in re.findall(r"`((?:protocol|client|server|simulations|conf)/[\w/.-]+)`", text)
    ]
    assert [str(path) for path in links + sources if not path.exists()] == []
