"""Who may open which page, that nothing can be changed from one, and that none holds a secret or a patient."""

import base64
import json

import pytest

from tests.pages.browser import Browser, Tags
from tests.server.dashboard.conftest import ORIGIN, PASSWORD
from tests.server.watch.watched_home import HOSPITALS, begin_study, close_round
from wardround.pages.app import common_routes
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.speaker import speaker_to_mapping, this_speaker
from wardround.server.dashboard.card import card_parts
from wardround.server.dashboard.pages import MENU, operator_routes, operator_site
from wardround.server.dashboard.questions import questions
from wardround.server.dashboard.settings import load_dashboard_settings
from wardround.server.dashboard.studies import FILES
from wardround.server.report.card_text import CardSection, CardTable, Items, to_markdown
from wardround.server.store.event_log import EVALUATED

ANYBODY, OPERATOR = "anybody", "operator"
WHO = {
    ("GET", "/log-in"): ANYBODY,
    ("POST", "/log-in"): ANYBODY,
    ("POST", "/log-out"): OPERATOR,
    ("POST", "/language"): ANYBODY,
    ("GET", "/style.css"): ANYBODY,
    ("GET", "/icon.svg"): ANYBODY,
    ("GET", "/"): ANYBODY,  # leads on to a page that asks for the log-in
    ("GET", "/hospitals"): OPERATOR,
    ("GET", "/studies"): OPERATOR,
    ("GET", "/studies/{study}"): OPERATOR,
    ("GET", "/studies/{study}/{file}"): OPERATOR,
    ("GET", "/comparison"): OPERATOR,
    ("GET", "/alerts"): OPERATOR,
    ("GET", "/certificates"): OPERATOR,
}
PAGES = [path for (_, path), who in WHO.items() if who == OPERATOR and path != "/log-out"]
HOSTILE = ("<img src=x onerror=alert(1)>", "'\"><script>alert(1)</script>", "{{7*7}}{%raw%}", "\x1b[2J\u202e")


def filled(path: str) -> str:
    return path.replace("{study}", "tea").replace("{file}", "report.html")


@pytest.fixture
def whole(dashboard):
    """A study with a round, an evaluation, a card and a report."""
    log = begin_study(dashboard.home)
    close_round(log, 1, HOSPITALS[:1], {"south": "refused: max_rounds"}, HOSPITALS[2:])
    measured = {"value": 0.7, "low": 0.6, "high": 0.8, "noise": 0.01, "sampling": 0.01}
    log.write(EVALUATED, round=1, mitigated=False, auc=measured, log_loss=measured)
    folder = dashboard.home.study("tea").folder
    (folder / "report.html").write_text("<h1>A report</h1>")
    (folder / "model_card.md").write_text(
        to_markdown("Card", "Releasable.", [CardSection("Limits", ("None.",))])
    )
    return log


def test_the_table_has_every_route(dashboard) -> None:
    site = operator_site(dashboard.settings.pages, dashboard.desk)
    routes = [*common_routes(site).routes, *operator_routes(site).routes]
    assert {(method, route.path) for route in routes for method in route.methods} == set(WHO)


def test_every_page_is_for_an_account_alone(dashboard, browse, whole) -> None:
    stranger, mary = browse(None), browse()
    for path in map(filled, PAGES):
        answer = stranger.get(path, follow=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/log-in"), path
        assert mary.get(path).status_code == 200, path
    assert stranger.get("/").url.path == "/log-in"
    dashboard.accounts.set_disabled("mary", True)
    assert all(mary.get(filled(path), follow=False).status_code == 303 for path in PAGES)


def test_an_account_of_another_role_cannot_be_written_or_read(dashboard, browse) -> None:
    path = dashboard.home.folder / "accounts.json"
    plain = json.loads(path.read_text())
    plain["mary"]["roles"] = ["privacy"]
    path.write_text(json.dumps(plain))
    browser = browse(None)
    assert browser.log_in("mary", PASSWORD).status_code == 409
    assert browser.get("/hospitals", follow=False).status_code != 200


def test_nothing_can_be_changed_from_a_page(dashboard, browse, whole) -> None:
    assert not [
        name for name, task in questions(dashboard.home.folder, lambda: dashboard.now).items() if task.changes
    ]
    before = {path: path.read_bytes() for path in dashboard.home.folder.rglob("*") if path.is_file()}
    browser = browse()
    for path in map(filled, PAGES):
        browser.get(path)
        assert browser.post(path, {"stop": "1"}, follow=False).status_code == 404, path
    after = {path: path.read_bytes() for path in dashboard.home.folder.rglob("*") if path.is_file()}
    assert after == before


def test_another_sites_form_and_another_name_reach_nothing(dashboard, browse) -> None:
    browser = browse()
    assert browser.post("/log-out", headers={"origin": "http://evil.example"}).status_code == 403
    assert browser.get("/hospitals", headers={"host": "evil.example"}).status_code == 421
    assert browser.get("/hospitals").status_code == 200


def test_no_page_holds_a_secret_or_what_only_the_home_knows(dashboard, browse, whole) -> None:
    """Planted wherever the home keeps something that status does not show."""
    home, mark = dashboard.home.folder, "PLANTED-7f3a"
    secrets = [path.read_bytes() for path in home.rglob("*") if path.suffix == ".key"]
    secrets += [path.read_bytes() for path in (home / "secrets").iterdir()]
    secrets.append(json.loads((home / "accounts.json").read_text())["mary"]["password"].encode())
    assert len(secrets) >= 5
    folder = dashboard.home.study("tea").folder
    for name in (
        "checkpoints/1.bin",
        "evaluations/1.json",
        "secure_sum/kept.json",
        "model.safetensors",
        "notes.txt",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(mark)
    (home / "policies").mkdir(exist_ok=True)
    (home / "policies" / "north.policy").write_text(mark)
    whole.write("agent", hospital="north", patient=mark, **speaker_to_mapping(this_speaker()))
    whole.write("round_note", round=1, cell=mark)
    closed = {"seconds": 1.0, "accepted": ["north"], "rejected": {}, "missing": [], "discarded": ""}
    whole.write("round", round=2, cell=mark, **closed)
    browser = browse()
    for path in [*map(filled, PAGES), "/nothing", "/studies/other"]:
        text = browser.get(path).text
        assert mark not in text, path
        for secret in secrets:
            for spelt in (secret.decode("latin-1").strip(), secret.hex(), base64.b64encode(secret).decode()):
                assert spelt not in text, path
            assert not any(line in text for line in secret.decode("latin-1").splitlines() if len(line) > 30)


@pytest.mark.parametrize("word", HOSTILE)
def test_whatever_stands_in_a_log_or_a_card_is_shown_as_text(dashboard, browse, whole, word: str) -> None:
    browser = browse()
    pages = [filled(path) for path in PAGES if "{file}" not in path]

    def tags() -> dict[str, set[tuple[str, tuple[str, ...]]]]:
        dashboard.wait(60)
        return {path: set(Tags(browser.get(path).text).found) for path in pages}

    def write(text: str) -> None:
        whole.write("agent", hospital="north", protocol=2, program=text, release=text)
        close_round(whole, 2, (text,), {text: text}, (text,))
        whole.write("set_up", missing=[text], rejected={text: text})
        sections = [CardSection(text, (text, Items((text,)), CardTable((text, "b"), ((text, "x"),))))]
        (dashboard.home.study("tea").folder / "model_card.md").write_text(to_markdown(text, text, sections))

    write("word")
    benign = tags()
    write(word)
    assert tags() == benign
    for path in pages:
        page = browser.get(path).text
        assert "<script" not in page
        assert "\x1b" not in page
        assert "\u202e" not in page


def test_a_state_of_any_name_is_shown_as_text(dashboard, browse, whole) -> None:
    whole.write(HOSTILE[0])
    page = browse().get("/studies").text
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img src=x" not in page


@pytest.mark.parametrize("name", ["<b>tea", "..", "te a", "tea\n", "lost+found"])
def test_a_folder_that_bears_no_studys_name_is_no_study(dashboard, browse, name: str) -> None:
    if name != "..":
        (dashboard.home.folder / "studies" / name).mkdir(parents=True)
    page = browse().get("/studies")
    assert page.status_code == 200
    assert "There is no study yet." in page.text


@pytest.mark.parametrize(
    "path",
    ["/studies/..", "/studies/%2e%2e", "/studies/tea/..%2f..%2foperator.key", "/studies/..%2f../operator.key",
     "/studies/tea/study.terms", "/studies/tea/checkpoints", "/studies/tea/events.jsonl",
     "/studies/tea/%00", "/studies/tea/report.html%00.key", "/studies/none/report.html",
     "/studies/tea/evaluation.json"],
)  # fmt: skip
def test_no_address_leads_to_another_file(dashboard, browse, whole, path: str) -> None:
    answer = browse().get(path, follow=False)
    assert answer.status_code in (303, 404, 409)
    assert "content-disposition" not in answer.headers
    key = (dashboard.home.folder / "operator.key").read_bytes()
    assert key not in answer.content


def test_a_report_is_handed_out_to_be_kept_and_never_shown_in_place(dashboard, browse, whole) -> None:
    folder = dashboard.home.study("tea").folder
    for name in FILES:
        (folder / name).write_bytes(f"<script>{name}</script>".encode())
        answer = browse().get(f"/studies/tea/{name}")
        assert answer.content == (folder / name).read_bytes()
        assert answer.headers["content-disposition"] == f'attachment; filename="tea-{name}"'
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "script-src" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


def test_no_page_loads_itself_again(dashboard, browse, whole) -> None:
    """WCAG 2.2.1; and a session would never end."""
    browser = browse()
    for path in map(filled, PAGES):
        assert "http-equiv" not in browser.get(path).text
        assert "refresh" not in browser.get(path).headers


def test_a_card_is_taken_apart_as_it_was_written() -> None:
    table = CardTable(("a|b", "c"), (("x|y", "*z*"), ("", "\\")))
    sections = [
        CardSection(
            "One # two",
            ("A [text] `of` <any> kind.", Items(("- a", "b"))),
        ),
        CardSection("T", (table,)),
    ]
    parts = card_parts(to_markdown("T_1", "Not *so*.", sections))
    assert parts == [
        {"kind": "title", "text": "T_1"},
        {"kind": "mark", "text": "Not *so*."},
        {"kind": "heading", "text": "One # two"},
        {"kind": "text", "text": "A [text] `of` <any> kind."},
        {"kind": "list", "lines": ["- a", "b"]},
        {"kind": "heading", "text": "T"},
        {"kind": "table", "header": ["a|b", "c"], "rows": [["x|y", "*z*"], ["", "\\"]]},
    ]


def test_the_menu_and_every_page_speak_spanish_too(dashboard, browse, whole) -> None:
    browser = browse()
    browser.post("/language", {"language": "es", "back": "/studies/tea"})
    for place in MENU:
        assert '<html lang="es">' in browser.get(place.path).text
    assert "Rondas cerradas" in browser.get("/studies/tea").text


def test_another_address_than_loopback_needs_a_certificate(dashboard) -> None:
    settings = dashboard.home.folder / "dashboard.yaml"
    settings.write_text("listen: 0.0.0.0:8766\n")
    with pytest.raises(
        ConfigurationError, match=r"dashboard\.yaml: listen=0\.0\.0\.0: others on the network"
    ):
        load_dashboard_settings(dashboard.home.folder)
    settings.write_text("desk: x\n")
    with pytest.raises(ConfigurationError, match="desk"):
        load_dashboard_settings(dashboard.home.folder)


def test_guessing_is_slowed_as_at_the_hospitals_pages(dashboard) -> None:
    browser = Browser(dashboard.app, ORIGIN)
    answers = [browser.log_in("mary", f"wrong words number {n}").status_code for n in range(12)]
    browser.close()
    assert answers[:10] == [401] * 10
    assert answers[10:] == [429] * 2


def test_settings_lie_in_the_home(dashboard) -> None:
    (dashboard.home.folder / "dashboard.yaml").write_text(
        "name: Tea study\nhosts: [tea.example]\nidle_minutes: 5\n"
    )
    settings = load_dashboard_settings(dashboard.home.folder)
    assert (settings.name, settings.port, settings.idle.total_seconds()) == ("Tea study", 8766, 300)
