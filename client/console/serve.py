"""Serve the hospital's pages."""

from wardround.client.console.pages import hospital_routes, hospital_site
from wardround.client.console.settings import ConsoleSettings
from wardround.pages.app import page_app
from wardround.pages.desk import Desk
from wardround.pages.guard import Guard
from wardround.pages.serving import serve_guarded


def hospital_app(settings: ConsoleSettings, desk: Desk) -> Guard:
    """Make the hospital's pages over its desk."""
    site = hospital_site(settings.pages, desk)
    return page_app(site, hospital_routes(site))


def serve_pages(settings: ConsoleSettings, desk: Desk) -> None:
    """Serve until SIGTERM or SIGINT; ConfigurationError where the address or the certificate cannot be used."""
    serve_guarded(hospital_app(settings, desk), settings)
