"""Serve the patients' page, from a folder of its own that holds two files and the spool.

preferences.json   what ``preferences publish`` wrote in the home (``published``)
page.yaml          where the page listens (``pages.served``), which may be left out
spool/             sealed choices, until the hospital takes them out
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from wardround.client.preferences.link_token import BY_LINK
from wardround.client.preferences.pages import PreferencePages, preference_routes
from wardround.client.preferences.published import PUBLISHED, Published, load_published
from wardround.pages.guard import Guard
from wardround.pages.served import ServedPages, read_served, settings_section
from wardround.pages.serving import serve_guarded
from wardround.pages.settings import PageSettings
from wardround.protocol.errors import ConfigurationError

SETTINGS, SPOOL, PORT = "page.yaml", "spool", 8767
LARGEST_FORM = 8 * 1024


@dataclass(frozen=True, kw_only=True)
class PreferencePage:
    """What the page is served with."""

    published: Published
    served: ServedPages
    spool: Path


def load_page(folder: Path) -> PreferencePage:
    """Read the page's folder; ConfigurationError for what is missing or wrong."""
    published = load_published(folder / PUBLISHED)
    path = folder / SETTINGS
    section = settings_section(path)
    served = read_served(section, path, published.name, PORT)
    section.finish()
    if not (folder / SPOOL).is_dir():
        raise ConfigurationError(
            f"{folder / SPOOL}: is missing; make it, for the page's user and the hospital's"
        )
    return PreferencePage(published=published, served=served, spool=folder / SPOOL)


def preference_app(page: PreferencePage, clock: Callable[[], datetime]) -> Guard:
    """Make the page, with its guard before it."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    pages = PreferencePages(page.published, page.spool, clock)
    app.include_router(preference_routes(pages))

    def missing(request: Request, error: Exception) -> Response:
        return pages.missing(request)

    def failed(request: Request, error: Exception) -> Response:
        return pages.failed(request)

    app.add_exception_handler(Exception, failed)
    app.add_exception_handler(HTTPException, missing)
    app.add_exception_handler(RequestValidationError, missing)
    return Guard(app, page_settings(page.published))


def page_settings(published: Published) -> PageSettings:
    """Say how the page is served: by the one name in its links. What listens may be a proxy, which ends TLS."""
    return PageSettings(
        name=published.name,
        hosts=(published.host,),
        secure=published.is_secure,
        largest_form=LARGEST_FORM,
        by_link=BY_LINK,
    )


def serve_page(page: PreferencePage) -> None:
    """Serve until SIGTERM or SIGINT; ConfigurationError where the address or the certificate cannot be used."""
    serve_guarded(preference_app(page, lambda: datetime.now(UTC)), page.served)
