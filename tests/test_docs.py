"""What the pages say of the project is there: tests, files and public names. And they can be read: no long lines."""

import re
from pathlib import Path

import pytest

import wardround

ROOT = Path(__file__).parent.parent
# The changelog tells what was; files and tests that it names may have moved since.
PAGES = sorted(
    [*(path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"), *ROOT.glob("docs/**/*.md")]
)
# Those in docs/lab hold tables of numbers that programs write.
READ_BY_PEOPLE = [page for page in PAGES if page.parent.name != "lab"]
WIDEST, LONGEST_CELL = 100, 70
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py"))
TEST_FILES = {path.name for path in ROOT.glob("tests/**/test_*.py")}
FOLDERS = "protocol|client|server|pages|simulations|conf|api|examples|scripts"
INVENTED = ("conf/model/tiny.yaml", "client/commands/NAME.py")
"""Files that CONTRIBUTING.md has its reader make."""
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"\btest_\w+(?:\.py)?\b", page.read_text(encoding="utf-8")))
    missing = [n for n in named if n not in TEST_FILES and f"def {n}(" not in TESTS]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_source_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [page.parent / link for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)]
    links += [ROOT / name for name in re.findall(r"`(tests/[\w/]+\.py)`", text)]
    sources = [
        ROOT / name for name in re.findall(rf"`((?:{FOLDERS})/[\w/.-]+)`", text) if name not in INVENTED
    ]
    assert [str(path) for path in links + sources if not path.exists()] == []


@pytest.mark.parametrize("page", READ_BY_PEOPLE, ids=lambda page: page.name)
def test_no_line_is_too_long_to_read_and_no_cell_holds_a_paragraph(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = CONSOLE.sub(lambda block: "".join(re.findall(r"^\$ .*\n", block[1], re.MULTILINE)), text)
    errors = section(shown, "## Mistakes")  # of contract.md: each is the one line that a command prints
    lines = [line for line in shown.replace(errors, "").splitlines() if len(line) > WIDEST]
    cells = [cell for line in shown.splitlines() if line.startswith("|") for cell in line.split("|")]
    assert (lines, [cell for cell in cells if len(cell.strip()) > LONGEST_CELL]) == ([], [])


def section(text: str, heading: str) -> str:
    """Give what stands below a heading; empty where there is no such heading."""
    return text.partition(heading)[2].partition("\n## ")[0]


def test_the_reference_holds_every_public_name() -> None:
    page = (ROOT / "docs/reference/index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\.\. auto\w+:: wardround\.(\w+)$", page, re.MULTILINE)) == set(wardround.__all__)
