"""What a source holds, by names and declared types alone: tables, or files, and their columns. No row is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wardround.client.connectors.compressed import COMPRESSIONS, plain_name
from wardround.client.connectors.files import ENDINGS, TEXTS, columns_of, sniffed
from wardround.client.connectors.kinds import Kind, kind_of_dtype
from wardround.client.connectors.table_format import PLAIN, TableFormat
from wardround.protocol.errors import TableError

MOST_TABLES = 2000
"""Tables, or files of a folder, that are listed; a source with more is refused."""


@dataclass(frozen=True, kw_only=True)
class ListedTable:
    """One table. name: as a mapping writes it. format: what was found beside the cells; plain in a database."""

    name: str
    columns: Mapping[str, Kind]
    format: TableFormat = PLAIN


def list_files(folder: Path) -> tuple[list[ListedTable], list[str]]:
    """List the files that can be read, by name; and in a line each why another cannot.

    TableError where the folder cannot be read, or holds no such file.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if _is_ours(path) and path.is_file())
    except OSError as error:
        raise TableError(f"{folder}: cannot be read ({error.strerror}); name a folder of tables") from None
    if not paths:
        raise TableError(f"{folder}: no file ends in {', '.join(ENDINGS)}; name the folder of the exports")
    check_count(len(paths), str(folder))
    listed, faults = [], []
    for path in paths:
        try:
            columns = {name: kind_of_dtype(dtype) for name, dtype in columns_of(path).items()}
            listed.append(ListedTable(name=path.name, columns=columns, format=sniffed(path, PLAIN)))
        except TableError as error:
            faults.append(str(error))
    return listed, faults


def check_count(count: int, where: str) -> None:
    """Refuse a source with too many tables; TableError."""
    if count > MOST_TABLES:
        raise TableError(f"{where}: more than {MOST_TABLES:,} tables; name a place that holds yours alone")


def _is_ours(path: Path) -> bool:
    compressed = path.name.lower().endswith(COMPRESSIONS)
    return not path.name.startswith(".") and plain_name(path).endswith(TEXTS if compressed else ENDINGS)
