"""A person compares a file's fingerprint with somebody on the telephone before anything is done with the file."""

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.answer import types


def require_compared(
    file: str, says: str, fingerprint: str, given: str | None, option: str, answer: str
) -> None:
    """Return once a person answered for a file; else ConfigurationError, and nothing may be done with it.

    file: what it is, as in ``kit=north.kit``. says: what it would bring about, one line. given: the fingerprint
    as it was heard, None to show it and ask at the terminal. option: how it is given, as in ``--fingerprint ``.
    answer: what the person types for a yes.
    """
    if given is not None:
        _require_same(file, fingerprint, given)
        return
    confirmed = types(
        answer,
        says,
        f"  fingerprint  {fingerprint}",
        f"Is it the one that you were told by telephone? Type {answer} to say yes:",
        # The fingerprint is not in this line: whoever copied it from there would have compared it with nobody.
        unattended=f"{file}: nobody is at the terminal to compare its fingerprint; give {option}'…' with the one "
        "that you were told by telephone",
    )
    if not confirmed:
        raise ConfigurationError(f"{file}: its fingerprint was not confirmed; nothing was done")


def _require_same(file: str, fingerprint: str, given: str) -> None:
    """Spaces and upper case do not count; a part of a fingerprint is not one."""
    if "".join(given.split()).lower() != fingerprint.replace(" ", ""):
        raise ConfigurationError(
            f"{file}: its fingerprint is {fingerprint}, another one than you gave; nothing was done: "
            "ask by telephone which file is the right one"
        )
