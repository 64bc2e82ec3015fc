"""The hospital's pages: each path, the question that it asks, and the template that shows the answer."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from wardround.client.console.roles import only
from wardround.client.policy.people import APPROVER, CLINICIAN, COMMUNICATIONS, IT, PRIVACY
from wardround.pages import desk as at_desk
from wardround.pages.app import SentForm
from wardround.pages.desk import Desk
from wardround.pages.settings import PageSettings
from wardround.pages.site import MenuEntry, PageSite

MENU = (
    MenuEntry("/overview", "menu.overview", only(PRIVACY)),
    MenuEntry("/studies", "menu.studies", only(PRIVACY)),
    MenuEntry("/ledger", "menu.ledger", only(PRIVACY)),
    MenuEntry("/messages", "menu.messages", only(COMMUNICATIONS, CLINICIAN)),
    MenuEntry("/standing", "menu.standing", only(COMMUNICATIONS, CLINICIAN)),
    MenuEntry("/texts", "menu.texts", only(COMMUNICATIONS, CLINICIAN, APPROVER)),
    MenuEntry("/sending", "menu.sending", only(COMMUNICATIONS, CLINICIAN)),
    MenuEntry("/results", "menu.results", only(COMMUNICATIONS, PRIVACY)),
    MenuEntry("/machine", "menu.machine", only(IT)),
    MenuEntry("/alerts", "menu.alerts", only(PRIVACY, IT)),
    MenuEntry("/peers", "menu.peers", only(PRIVACY, IT)),
)
_SENT = ("reason", "answers", "expires_at", "last_entry", "words")


def hospital_site(settings: PageSettings, desk: Desk) -> PageSite:
    """Make the hospital's site over its desk."""
    return PageSite(settings, desk, MENU, Path(__file__).parent)


def hospital_routes(site: PageSite) -> APIRouter:
    """Name every path of a hospital's own."""
    pages, routes = HospitalPages(site), APIRouter()
    for path, page in (
        ("/", pages.first),
        ("/overview", pages.overview),
        ("/ledger", pages.ledger),
        ("/ledger/check", pages.verified),
        ("/studies", pages.studies),
        ("/studies/{terms}", pages.study),
        ("/studies/{terms}/decide", pages.decide),
        ("/peers", pages.peers),
        ("/messages", pages.messages),
        ("/messages/{number}/change", pages.replacements),
        ("/standing", pages.standing),
        ("/standing/new", pages.new_standing),
        ("/texts", pages.texts),
        ("/sending", pages.sending),
        ("/results", pages.results),
        ("/machine", pages.machine),
        ("/alerts", pages.alerts),
        ("/machine/doctor", pages.doctor),
    ):
        routes.add_api_route(path, page, methods=["GET"])
    routes.add_api_route("/studies/{terms}/approve", pages.approve, methods=["POST"])
    routes.add_api_route("/studies/{terms}/decline", pages.decline, methods=["POST"])
    routes.add_api_route("/messages", pages.decide_messages, methods=["POST"])
    routes.add_api_route("/messages/{number}/change", pages.change_message, methods=["POST"])
    routes.add_api_route("/standing", pages.decide_standing, methods=["POST"])
    return routes


class HospitalPages:
    """One method for each path."""

    def __init__(self, site: PageSite) -> None:
        """Take the site that makes the responses."""
        self._site = site

    def first(self, request: Request) -> Response:
        """Go to the first page of the person's roles."""
        answer = self._site.ask(request, at_desk.SESSION, {})
        if answer.who is None:
            return self._site.why_not(request, answer)
        # Every role has a page: who has no role of the pages has no account.
        return RedirectResponse(
            next(p.path for p in MENU if p.roles & set(answer.who.roles)), status_code=303
        )

    def overview(self, request: Request) -> Response:
        """Show what waits, what is wrong, and what was spent."""
        return self._site.show(request, "overview.html", "overview")

    def ledger(self, request: Request, before: str = "") -> Response:
        """Show what left, page by page."""
        return self._site.show(request, "ledger.html", "left", before=before)

    def verified(self, request: Request) -> Response:
        """Show that every entry is signed and in its place."""
        return self._site.show(request, "verified.html", "verify")

    def studies(self, request: Request) -> Response:
        """List what was proposed."""
        return self._site.show(request, "studies.html", "studies")

    def study(self, request: Request, terms: str) -> Response:
        """Show one study; reads no table."""
        return self._site.show(request, "study.html", "study", terms=terms)

    def decide(self, request: Request, terms: str) -> Response:
        """Show what depends on the tables, with the forms that decide."""
        return self._site.show(request, "decide.html", "before_approval", terms=terms)

    def approve(self, request: Request, terms: str, form: SentForm) -> Response:
        """Record a yes."""
        given = {key: form.get(key, "") for key in _SENT}
        return self._site.act(request, form, "approve", f"/studies/{terms}", **given, terms=terms)

    def decline(self, request: Request, terms: str, form: SentForm) -> Response:
        """Record a no."""
        reason = form.get("reason", "")
        return self._site.act(request, form, "decline", f"/studies/{terms}", terms=terms, reason=reason)

    def messages(self, request: Request) -> Response:
        """Show what waits, as the person's role may see it."""
        return self._site.show(request, "messages.html", "messages")

    def decide_messages(self, request: Request, form: SentForm) -> Response:
        """Approve, hold or refuse, and say what came of it."""
        return self._site.tell(request, form, "messages_done.html", "decide_messages")

    def replacements(self, request: Request, number: str) -> Response:
        """Show what may stand in a message's place."""
        return self._site.show(request, "change.html", "replacements", id=number)

    def change_message(self, request: Request, number: str, form: SentForm) -> Response:
        """Put another text in a message's place."""
        return self._site.tell(request, {**form, "id": number}, "changed.html", "change_message")

    def standing(self, request: Request) -> Response:
        """List standing approvals."""
        return self._site.show(request, "standing.html", "standing")

    def new_standing(self, request: Request, trigger: str = "", module: str = "") -> Response:
        """Show the text of a new standing approval, with the form that begins it."""
        return self._site.show(request, "standing_new.html", "standing_offer", trigger=trigger, module=module)

    def decide_standing(self, request: Request, form: SentForm) -> Response:
        """Begin one, sign it as the second person, or end it."""
        fields = {key: value for key, value in form.items() if key != "form_token"}
        return self._site.act(request, form, "decide_standing", "/standing", **fields)

    def texts(self, request: Request) -> Response:
        """Show what messages may say."""
        return self._site.show(request, "texts.html", "texts")

    def sending(self, request: Request) -> Response:
        """Show what would leave now, and by which command."""
        return self._site.show(request, "sending.html", "sending")

    def results(self, request: Request, protocol: str = "") -> Response:
        """Show what a trial protocol found so far."""
        return self._site.show(request, "results.html", "results", protocol=protocol)

    def alerts(self, request: Request) -> Response:
        """Show which alerts stand, and since when."""
        return self._site.show(request, "alerts.html", "alerts")

    def peers(self, request: Request) -> Response:
        """Show which hospitals are known."""
        return self._site.show(request, "peers.html", "peers")

    def machine(self, request: Request) -> Response:
        """Show what is installed, and whether it answers."""
        return self._site.show(request, "machine.html", "machine")

    def doctor(self, request: Request) -> Response:
        """Show every finding."""
        return self._site.show(request, "doctor.html", "doctor")
