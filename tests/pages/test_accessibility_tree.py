"""The walk of an accessibility tree finds what is planted, and nothing in a page that is sound."""

from typing import Any

import pytest

from tests.pages.accessibility_tree import tree_faults, tree_of

pytestmark = pytest.mark.slow
SOUND = """<header><a href="/">Wardround</a><nav aria-label="Menu"><a href="/a">A</a></nav></header>
<main><h1>One</h1><section aria-label="First"><h2>Two</h2><form><label for="why">Why: "now"</label>
<p id="hint">One line.</p><input id="why" aria-describedby="hint"><button>Send</button></form></section>
<section aria-label="Second"><h2>Three</h2><button>Send</button></section></main><footer>Kept</footer>"""


@pytest.fixture(scope="module")
def page(chromium: Any) -> Any:
    one = chromium.new_page()
    yield one
    one.close()


def test_a_sound_page_has_no_fault_and_its_parts_are_named(page: Any) -> None:
    page.set_content(SOUND)
    assert tree_faults(page) == []
    found = [(one.role, one.name) for one in tree_of(page)]
    for part in (("heading", "One"), ("textbox", 'Why: "now"'), ("region", "Second"), ("navigation", "Menu")):
        assert part in found


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<h1>One</h1>", "<h2>One</h2>", "0 headings of level 1"),
        ("<h1>One</h1>", "<h1>One</h1><h1>More</h1>", "2 headings of level 1"),
        ("<h2>Two</h2>", "<h3>Two</h3>", "level 3 after 1"),
        ("<footer>Kept</footer>", "<h1>Kept</h1>", "not in main"),
        ("<footer>Kept</footer>", "", "0 contentinfo"),
        ("<main>", "<div>", "0 main"),
        (' aria-label="Menu"', "", "navigation without a name"),
        ('aria-label="Second"', 'aria-label="First"', "2 × region 'First'"),
        ('<label for="why">', "<label>", "textbox without a name"),
        ("<button>Send</button></form>", "<button></button></form>", "button without a name"),
        ('<section aria-label="Second">', '<section aria-label="First">', "2 × button 'Send'"),
        ('aria-describedby="hint"', 'aria-describedby="gone"', "describedby gone: is not there"),
        ('aria-describedby="hint"', "aria-invalid=true", "is wrong, and nothing says why"),
        ('id="hint"', 'id="why"', "id why: twice"),
    ],
)
def test_each_fault_that_is_planted_is_found(page: Any, old: str, new: str, said: str) -> None:
    assert old in SOUND
    page.set_content(SOUND.replace(old, new, 1))
    assert any(said in fault for fault in tree_faults(page)), tree_faults(page)
