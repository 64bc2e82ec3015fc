"""What follows a word of ``wardround-serve`` that is not Hydra's: ``key=value``, lists as ``[a,b]``."""

from collections.abc import Mapping, Sequence

from wardround.protocol.errors import ConfigurationError


def options(word: str, arguments: Sequence[str], known: Mapping[str, str | None]) -> dict[str, str]:
    """Read ``key=value`` arguments. known gives each key's default; None: must be said."""
    given: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in known:
            raise ConfigurationError(
                f"{word}: {argument}: unknown; allowed: {', '.join(f'{k}=' for k in known)}"
            )
        given[key] = value
    for key, default in known.items():
        if given.setdefault(key, default or "") == "" and default is None:
            raise ConfigurationError(f"{word}: say {key}=…")
    return given


def names(text: str) -> list[str]:
    """Read ``[a,b,c]``, or one name."""
    inner = text.removeprefix("[").removesuffix("]")
    return [name.strip() for name in inner.split(",") if name.strip()]
