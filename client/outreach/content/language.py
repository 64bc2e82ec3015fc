"""How a language is named, and which language a region's is."""


def is_language(text: str) -> bool:
    """Whether a text names a language as in ``en`` or ``en-US``."""
    base, dash, region = text.partition("-")
    lower = base.isascii() and base.isalpha() and base.islower() and len(base) in (2, 3)
    return lower and (
        not dash or (region.isascii() and region.isalpha() and region.isupper() and len(region) == 2)
    )


def base_language(language: str) -> str:
    """Give the language without its region: ``en`` for ``en`` and ``en-US``."""
    return language.partition("-")[0]
