"""Names of file formats, as in ``wardround-model-1``: the number tells a file of another release from a damaged one."""

import re

_NAME = re.compile(r"([a-z]+(?:-[a-z]+)+)-([1-9][0-9]{0,3})")


def newer_form(found: object, ours: str) -> str:
    """Say what to do about a file of a newer form of ``ours``; empty where ``found`` names none.

    found: what the file says of itself, not believed yet: it is shown only where it has the form of such a name.

    >>> newer_form("wardround-model-2", "wardround-model-1")
    'is of a newer form (wardround-model-2) than this release reads (wardround-model-1); install the newer release'
    >>> newer_form("wardround-model-1", "wardround-model-1")
    ''
    """
    theirs, mine = _NAME.fullmatch(found) if isinstance(found, str) else None, _NAME.fullmatch(ours)
    if theirs is None or mine is None or theirs[1] != mine[1] or int(theirs[2]) <= int(mine[2]):
        return ""
    return f"is of a newer form ({found}) than this release reads ({ours}); install the newer release"
