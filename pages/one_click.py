"""What may be posted from elsewhere: one-click unsubscription, as mail programs ask for it (RFC 8058). Pure.

Such a POST has no cookie, no Origin of ours, and one field, ``List-Unsubscribe=One-Click``, as a form of either kind.
"""

import re
from urllib.parse import parse_qsl

FIELD, VALUE = "List-Unsubscribe", "One-Click"
_LARGEST = 1000
_BOUNDARY = re.compile(
    r'multipart/form-data\s*;\s*boundary="?([A-Za-z0-9\'()+_,./:=?-]{1,70})"?', re.IGNORECASE
)
_PART = re.compile(rb'content-disposition:\s*form-data;\s*name="?List-Unsubscribe"?\s*', re.IGNORECASE)


def is_one_click(content_type: str, body: bytes) -> bool:
    """Whether a request's body is that one field, and nothing else.

    >>> is_one_click("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click")
    True
    """
    if len(body) > _LARGEST:
        return False
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        return parse_qsl(body.decode("latin-1"), keep_blank_values=True) == [(FIELD, VALUE)]
    boundary = _BOUNDARY.fullmatch(content_type.strip())
    return boundary is not None and _is_one_part(body, boundary[1].encode())


def _is_one_part(body: bytes, boundary: bytes) -> bool:
    pieces = (b"\r\n" + body.lstrip(b"\r\n")).split(b"\r\n--" + boundary)
    if len(pieces) != 3 or pieces[0] or pieces[2].rstrip(b"\r\n ") != b"--":
        return False
    head, _, content = pieces[1].partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if line.strip()]
    named = [line for line in lines if _PART.fullmatch(line)]
    others = [
        line for line in lines if not line.lower().startswith((b"content-type:", b"content-disposition:"))
    ]
    return len(named) == 1 and len(lines) <= 2 and not others and content == VALUE.encode()
