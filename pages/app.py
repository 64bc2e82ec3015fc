"""The application of one side's pages: its own routes, and those that every side has."""

import re
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from wardround.pages import desk as at_desk
from wardround.pages.desk import Answer
from wardround.pages.guard import Guard
from wardround.pages.language import LANGUAGES
from wardround.pages.site import LANGUAGE_COOKIE, PageSite, sent_form

STATIC = {"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
_FOLDER = Path(__file__).parent / "static"
_YEAR_SECONDS = 31_536_000
_LONGEST_FIELD = 1000
_PATH = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+|/")

SentForm = Annotated[dict[str, str], Depends(sent_form)]


def page_app(site: PageSite, routes: APIRouter) -> Guard:
    """Make the application, with its guard before it."""
    # No page that describes the pages, and no second spelling of an address.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(common_routes(site))
    app.include_router(routes)

    async def missing(request: Request, error: Exception) -> Response:
        answer = await run_in_threadpool(site.ask, request, at_desk.SESSION, {})
        return site.why_not(request, Answer(outcome=at_desk.UNKNOWN, who=answer.who))

    def failed(request: Request, error: Exception) -> Response:
        # Starlette raises it again behind this page; the guard logs its type, and no traceback.
        return site.why_not(request, Answer(outcome=at_desk.FAULT, line=type(error).__name__))

    app.add_exception_handler(Exception, failed)
    app.add_exception_handler(HTTPException, missing)
    app.add_exception_handler(RequestValidationError, missing)
    return Guard(app, site.settings)


def common_routes(site: PageSite) -> APIRouter:
    """Name every path that each side has."""
    pages, routes = CommonPages(site), APIRouter()
    routes.add_api_route("/log-in", pages.log_in_page, methods=["GET"])
    routes.add_api_route("/log-in", pages.log_in, methods=["POST"])
    routes.add_api_route("/log-out", pages.log_out, methods=["POST"])
    routes.add_api_route("/language", pages.choose_language, methods=["POST"])
    for name in STATIC:
        # Each file by its own address: no part of a request is a path.
        routes.add_api_route(f"/{name}", StaticFile(name), methods=["GET"])
    return routes


class CommonPages:
    """Log-in, log-out, and the choice of a language."""

    def __init__(self, site: PageSite) -> None:
        """Take the site that makes the responses."""
        self._site = site

    def log_in_page(self, request: Request) -> Response:
        """Ask for name and password; whoever is logged in goes on."""
        answer = self._site.ask(request, at_desk.SESSION, {})
        if answer.outcome == at_desk.ANSWERED:
            return RedirectResponse("/", status_code=303)
        return self._site.page(request, "log_in.html", Answer(outcome=at_desk.LOG_IN))

    def log_in(self, request: Request, form: SentForm) -> Response:
        """Begin a session; its token goes into the cookie, and nowhere else."""
        given = {key: form.get(key, "")[:_LONGEST_FIELD] for key in ("account", "password")}
        answer = self._site.ask(request, at_desk.BEGIN, given)
        if answer.outcome in (at_desk.WRONG, at_desk.LATER):
            status = 401 if answer.outcome == at_desk.WRONG else 429
            return self._site.page(request, "log_in.html", answer, status)
        if answer.outcome != at_desk.ANSWERED:
            return self._site.why_not(request, answer)
        response = RedirectResponse("/", status_code=303)
        settings = self._site.settings
        # Without an age: it goes with the browser. How long it is good, the desk decides.
        response.set_cookie(
            settings.cookie, answer.token, secure=settings.secure, httponly=True, samesite="strict"
        )
        return response

    def log_out(self, request: Request, form: SentForm) -> Response:
        """End the session."""
        answer = self._site.ask(request, at_desk.END, {}, form.get("form_token", ""))
        response = self._site.why_not(request, answer)
        settings = self._site.settings
        if answer.outcome == at_desk.LOG_IN:
            response.delete_cookie(settings.cookie, secure=settings.secure, httponly=True, samesite="strict")
        return response

    def choose_language(self, form: SentForm) -> Response:
        """Keep the person's language, and go back to the page."""
        back, language = form.get("back", ""), form.get("language", "")
        # A path of ours, and never another site's address.
        response = RedirectResponse(back if _PATH.fullmatch(back) else "/", status_code=303)
        if language in LANGUAGES:
            secure = self._site.settings.secure
            response.set_cookie(
                LANGUAGE_COOKIE, language, _YEAR_SECONDS, secure=secure, httponly=True, samesite="strict"
            )
        return response


class StaticFile:
    """One file of ours, read once."""

    def __init__(self, name: str) -> None:
        """Read it."""
        self._content, self._kind = (_FOLDER / name).read_bytes(), STATIC[name]

    def __call__(self) -> Response:
        """Give it."""
        return Response(self._content, media_type=self._kind)
