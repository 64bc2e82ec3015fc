"""The operator's pages: each path, the question that it asks, and the template that shows the answer."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from wardround.pages import desk as at_desk
from wardround.pages.app import page_app
from wardround.pages.desk import Desk
from wardround.pages.guard import Guard
from wardround.pages.served import ServedPages
from wardround.pages.settings import PageSettings
from wardround.pages.site import MenuEntry, PageSite
from wardround.server.dashboard.accounts import ROLES

MENU = tuple(
    MenuEntry(f"/{word}", f"menu.{word}", frozenset(ROLES))
    for word in ("hospitals", "studies", "comparison", "alerts", "certificates")
)


def operator_app(settings: ServedPages, desk: Desk) -> Guard:
    """Make the operator's pages over their desk."""
    site = operator_site(settings.pages, desk)
    return page_app(site, operator_routes(site))


def operator_site(settings: PageSettings, desk: Desk) -> PageSite:
    """Make the operator's site over its desk."""
    return PageSite(settings, desk, MENU, Path(__file__).parent)


def operator_routes(site: PageSite) -> APIRouter:
    """Name every path of the operator's own. None takes a form: nothing can be changed from here."""
    pages, routes = OperatorPages(site), APIRouter()
    for path, page in (
        ("/", pages.first),
        ("/hospitals", pages.hospitals),
        ("/studies", pages.studies),
        ("/studies/{study}", pages.study),
        ("/studies/{study}/{file}", pages.file),
        ("/comparison", pages.comparison),
        ("/alerts", pages.alerts),
        ("/certificates", pages.certificates),
    ):
        routes.add_api_route(path, page, methods=["GET"])
    return routes


class OperatorPages:
    """One method for each path."""

    def __init__(self, site: PageSite) -> None:
        """Take the site that makes the responses."""
        self._site = site

    def first(self) -> Response:
        """Go to the first page."""
        return RedirectResponse(MENU[0].path, status_code=303)

    def hospitals(self, request: Request) -> Response:
        """Show the server and every hospital."""
        return self._site.show(request, "hospitals.html", "standing")

    def studies(self, request: Request) -> Response:
        """List the studies, with what comes next."""
        return self._site.show(request, "studies.html", "standing")

    def study(self, request: Request, study: str, before: str = "") -> Response:
        """Show one study."""
        return self._site.show(request, "study.html", "study", study=study, before=before)

    def comparison(self, request: Request) -> Response:
        """Show the studies beside one another."""
        return self._site.show(request, "comparison.html", "standing")

    def alerts(self, request: Request) -> Response:
        """Show what stands."""
        return self._site.show(request, "alerts.html", "alerts")

    def certificates(self, request: Request) -> Response:
        """Show how long certificates last."""
        return self._site.show(request, "certificates.html", "standing")

    def file(self, request: Request, study: str, file: str) -> Response:
        """Hand out a report or a card, to be kept and opened there.

        Never shown in place: a page of another program's making would stand at our own address.
        """
        answer = self._site.ask(request, "file", {"study": study, "file": file})
        if answer.outcome != at_desk.ANSWERED:
            return self._site.why_not(request, answer)
        # Both are names that were looked up, of letters, digits and marks that a header may hold.
        kept = {"content-disposition": f'attachment; filename="{study}-{file}"'}
        return Response(answer.value["content"], media_type=answer.value["type"], headers=kept)
