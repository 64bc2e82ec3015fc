"""A browser without a screen, for tests: it keeps cookies, names its host, and sends where a form stood."""

import asyncio
import re
from html.parser import HTMLParser
from typing import Any

import httpx

ORIGIN = "http://127.0.0.1:8765"


class Browser:
    """One browser at an application; ``close`` it."""

    def __init__(self, app: Any, origin: str = ORIGIN, address: str = "127.0.0.1") -> None:
        self.origin = origin
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app=app, client=(address, 50_000))
        self._client = httpx.AsyncClient(transport=transport, base_url=origin)

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def get(self, path: str, follow: bool = True, headers: dict[str, str] | None = None) -> httpx.Response:
        return self._run(self._client.get(path, follow_redirects=follow, headers=headers))

    def post(
        self,
        path: str,
        form: dict[str, str] | None = None,
        follow: bool = True,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        given = {"origin": self.origin} | (headers or {})
        sent = {name: value for name, value in given.items() if value}
        return self._run(self._client.post(path, data=form or {}, follow_redirects=follow, headers=sent))

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        return self._run(self._client.request(method, path, **given))

    def log_in(self, account: str, password: str) -> httpx.Response:
        return self.post("/log-in", {"account": account, "password": password})

    def close(self) -> None:
        self._run(self._client.aclose())
        self._runner.close()

    def _run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)


def form_token(page: httpx.Response) -> str:
    """The token of a page's forms."""
    found = re.search('name="form_token" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


class Tags(HTMLParser):
    """Every start tag of a page with its attributes' names, in order: what no foreign text may change."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))
