"""One side's pages over its desk: each shows an answer, or says why there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from wardround.pages import desk as at_desk
from wardround.pages.desk import Answer, Desk, Question
from wardround.pages.language import LANGUAGES, Words, chosen
from wardround.pages.rendering import page_environment
from wardround.pages.settings import PageSettings

LANGUAGE_COOKIE = "language"
MOST_FIELDS = 60
_FORM = "application/x-www-form-urlencoded"
_STATUS = {
    at_desk.NOT_YOURS: 403,
    at_desk.NO_FORM: 403,
    at_desk.REFUSED: 409,
    at_desk.FAULT: 500,
    at_desk.UNKNOWN: 404,
    at_desk.AWAY: 503,
    at_desk.LATER: 429,
    at_desk.WRONG: 401,
}


@dataclass(frozen=True)
class MenuEntry:
    """One entry of the menu: its path, its word in the message files, and who sees it."""

    path: str
    word: str
    roles: frozenset[str]


class PageSite:
    """Makes the responses. folder: of the side's own templates and languages."""

    def __init__(self, settings: PageSettings, desk: Desk, menu: Sequence[MenuEntry], folder: Path) -> None:
        """Take what the side shows."""
        self.settings, self._desk, self._menu = settings, desk, tuple(menu)
        self._environment = page_environment([folder / "templates"])
        rooms = (Path(__file__).parent / "languages", folder / "languages")
        self._words = {language: Words(rooms, language) for language in LANGUAGES}

    def ask(self, request: Request, name: str, arguments: Mapping[str, str], form_token: str = "") -> Answer:
        """Ask the desk in the name of whoever is logged in."""
        return self._desk.ask(
            Question(
                name=name,
                token=request.cookies.get(self.settings.cookie, ""),
                form_token=form_token,
                address=request.client.host if request.client else "",
                arguments=arguments,
            )
        )

    def show(self, request: Request, template: str, name: str, **arguments: str) -> Response:
        """Show the answer to a question, by a template; or why there is none."""
        answer = self.ask(request, name, arguments)
        if answer.outcome != at_desk.ANSWERED:
            return self.why_not(request, answer)
        return self.page(request, template, answer, arguments=arguments)

    def act(
        self, request: Request, form: Mapping[str, str], name: str, then: str, **arguments: str
    ) -> Response:
        """Have something done that a form asks for, and go on to a page."""
        answer = self.ask(request, name, arguments, form.get("form_token", ""))
        if answer.outcome != at_desk.ANSWERED:
            return self.why_not(request, answer)
        return RedirectResponse(then, status_code=303)

    def tell(self, request: Request, form: Mapping[str, str], template: str, name: str) -> Response:
        """Have something done that a form asks for by its fields, and show what came of it."""
        fields = {key: value for key, value in form.items() if key != "form_token"}
        answer = self.ask(request, name, fields, form.get("form_token", ""))
        if answer.outcome != at_desk.ANSWERED:
            return self.why_not(request, answer)
        return self.page(request, template, answer)

    def why_not(self, request: Request, answer: Answer) -> Response:
        """Send whoever is not logged in to the log-in; else say why in a page of its own."""
        if answer.outcome == at_desk.LOG_IN:
            return RedirectResponse("/log-in", status_code=303)
        return self.page(request, "why_not.html", answer, _STATUS[answer.outcome])

    def page(
        self, request: Request, template: str, answer: Answer, status: int = 200, **more: Any
    ) -> HTMLResponse:
        """Fill a template."""
        words = self.words(request)
        roles = set(answer.who.roles) if answer.who else set()
        content = self._environment.get_template(template).render(
            t=words,
            languages=LANGUAGES,
            name=self.settings.name,
            who=answer.who,
            menu=[place for place in self._menu if place.roles & roles],
            path=request.url.path,
            value=answer.value,
            outcome=answer.outcome,
            line=answer.line,
            **more,
        )
        return HTMLResponse(content, status)

    def words(self, request: Request) -> Words:
        """Give the texts in the person's language."""
        asked = request.cookies.get(LANGUAGE_COOKIE, "")
        return self._words[chosen(asked, request.headers.get("accept-language", ""))]


async def sent_form(request: Request) -> Mapping[str, str]:
    """Read a form's fields, each once; empty for whatever else was sent. Its size was bounded before."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return {}
    try:
        text = (await request.body()).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        return {}
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else {}
