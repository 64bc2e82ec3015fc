"""The page's paths: a link's form, what came of it, and the files of ours. A GET changes nothing; no cookie is read."""

import re
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response

from wardround.client.preferences.choice import Choice, Wish, seal_choice
from wardround.client.preferences.form import pauses, wish_of
from wardround.client.preferences.link_token import BY_LINK, TOKEN_CHARACTERS, LinkToken, read_token
from wardround.client.preferences.pace import LinkPace
from wardround.client.preferences.published import Published
from wardround.client.preferences.spool import SpoolError, put
from wardround.pages.app import STATIC, SentForm, StaticFile
from wardround.pages.language import LANGUAGES, Words, chosen
from wardround.pages.one_click import is_one_click
from wardround.pages.rendering import page_environment
from wardround.protocol.text.log import report

_PATH = re.compile(rf"{BY_LINK}[A-Za-z0-9_-]{{{TOKEN_CHARACTERS}}}")
_FOLDER = Path(__file__).parent
_SHARED = _FOLDER.parents[1] / "pages" / "languages"


async def _one_click(request: Request) -> bool:
    return is_one_click(request.headers.get("content-type", ""), await request.body())


OneClick = Annotated[bool, Depends(_one_click)]


class PreferencePages:
    """One method for each path. clock: of now, with a zone."""

    def __init__(self, published: Published, spool: Path, clock: Callable[[], datetime]) -> None:
        """Take what the page shows, and where choices go."""
        self._published, self._spool, self._clock = published, spool, clock
        self._pace = LinkPace(clock)
        self._environment = page_environment([_FOLDER / "templates"])
        self._words = {one: Words((_SHARED, _FOLDER / "languages"), one) for one in LANGUAGES}

    def show(self, request: Request, token: str) -> Response:
        """Show the form of a link. Nothing is written, counted or remembered: scanners and previews come here too."""
        if self._link(token) is None:
            return self._page(request, "told.html", 404, said="no_link")
        return self._page(request, "choose.html", pauses=pauses(self._clock().astimezone(self._zone).date()))

    def choose(self, request: Request, token: str, form: SentForm, one_click: OneClick) -> Response:
        """Keep what was chosen, sealed, or say that it was not kept."""
        link = self._link(token)
        if link is None:
            return self._page(request, "told.html", 404, said="no_link")
        wish = Wish(stop=True) if one_click else self._wish(form)
        if wish is None:
            return self._page(request, "told.html", 400, said="no_form", back=True)
        if wish.is_empty:
            return self._page(request, "told.html", 400, said="nothing", back=True)
        if not self._pace.take(link.spelled):
            return self._page(request, "told.html", 429, said="often")
        try:
            put(self._spool, self._sealed(link, wish))
        except SpoolError as error:
            report(str(error))
            return self._page(request, "told.html", 503, said="not_saved")
        return self._page(request, "saved.html", wish=wish)

    def missing(self, request: Request) -> Response:
        """Say that the address is none of a link's."""
        return self._page(request, "told.html", 404, said="no_link")

    def failed(self, request: Request) -> Response:
        """Say that nothing is known to be kept."""
        return self._page(request, "told.html", 500, said="not_saved")

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self._published.timezone)

    def _link(self, text: str) -> LinkToken | None:
        """Read a link that is good today."""
        link = read_token(text, self._published.marks)
        today = self._clock().astimezone(self._zone).date()
        return link if link is not None and today <= link.last_day else None

    def _wish(self, form: SentForm) -> Wish | None:
        today = self._clock().astimezone(self._zone).date()
        return wish_of(form, tuple(self._published.topics), self._published.channels, today)

    def _sealed(self, link: LinkToken, wish: Wish) -> bytes:
        choice = Choice(id=secrets.token_hex(16), token=link.spelled, at=self._clock(), wish=wish)
        return seal_choice(choice, self._published.public_key)

    def _page(self, request: Request, template: str, status: int = 200, **more: Any) -> HTMLResponse:
        asked = request.query_params.get("language", "")
        words = self._words[chosen(asked, request.headers.get("accept-language", ""))]
        content = self._environment.get_template(template).render(
            t=words,
            languages=LANGUAGES,
            name=self._published.name,
            published=self._published,
            who=None,
            # A path of ours, and never another site's address: it stands in a link.
            path=request.url.path if _PATH.fullmatch(request.url.path) else "/",
            **more,
        )
        return HTMLResponse(content, status)


def preference_routes(pages: PreferencePages) -> APIRouter:
    """Name every path."""
    routes = APIRouter()
    routes.add_api_route(BY_LINK + "{token}", pages.show, methods=["GET"])
    routes.add_api_route(BY_LINK + "{token}", pages.choose, methods=["POST"])
    for name in STATIC:
        routes.add_api_route(f"/{name}", StaticFile(name), methods=["GET"])
    return routes
