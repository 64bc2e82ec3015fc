"""How a name is written in SQL, so that nothing in it is syntax."""


def quoted(name: str, quote: str = '"') -> str:
    """Write one name so that nothing in it is syntax."""
    return quote + name.replace(quote, 2 * quote) + quote


def quoted_place(name: str, quote: str = '"') -> str:
    """Write ``schema.table``, each part quoted by itself."""
    return ".".join(quoted(part, quote) for part in name.split("."))
