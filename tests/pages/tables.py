"""What stands in a page's tables, as a reader sees it."""

from html.parser import HTMLParser


class Tables(HTMLParser):
    """Every table's rows by their header; a row: what stands in each cell, by the cell's label."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict[str, dict[str, str]]] = []
        self._row: dict[str, str] = {}
        self._label: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table":
            self.found.append({})
        elif tag == "tr":
            self._row, self._label = {}, None
        elif tag == "td":
            self._label = given.get("data-label") or ""
            self._row[self._label] = ""
        elif tag == "th":
            self._label = given.get("scope") or ""
            self._row[self._label] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._label = None
        elif tag == "tr" and "row" in self._row:
            header = self._row.pop("row").strip()
            self.found[-1][header] = {label: text.strip() for label, text in self._row.items()}

    def handle_data(self, data: str) -> None:
        if self._label is not None:
            self._row[self._label] += data
