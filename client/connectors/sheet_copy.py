"""A copy of an Excel file in which every cell can be read: one that the reader does not know ends the whole sheet.

LibreOffice's ``Err:502`` and Excel's ``#GETTING_DATA`` are such cells. In the copy an error is ``#N/A``, which is read
as missing, and what is of no known type is text. All other cells stay as they are.
"""

import re
import zipfile
from io import BytesIO
from pathlib import Path

_CELL, _FORMULA = rb"<c\b[^>]*\st=[\"']", rb"(?:<f\b[^>]*/>|<f\b[^>]*>[^<]*</f>)?"
_ERROR = re.compile(rb"(%be[\"'][^>]*>%b<v>)[^<]*(</v>)" % (_CELL, _FORMULA))
_SHARED_TEXT = re.compile(rb"(%bs[\"'][^>]*>%b<v>)([^<]*)(</v>)" % (_CELL, _FORMULA))
_NUMBER = re.compile(rb"(<c\b[^>]*)\st=[\"']n[\"']")
_NO_TRUTH = re.compile(rb"(%b)b([\"'][^>]*>%b<v>(?!(?:0|1|true|false|)</v>))" % (_CELL, _FORMULA))
_NO_TYPE = re.compile(rb"(%b)(?!(?:s|str|b|d|e|n|inlineStr)[\"'])[^\"']*([\"'])" % _CELL)
_SHOWN_AS = re.compile(rb"""numFmtId=(?:"[0-9]+"|'[0-9]+')|formatCode=(?:"[^"]*"|'[^']*')""")
_TEXT = re.compile(rb"<si\b")


def readable_copy(path: Path, dates_as_numbers: bool) -> BytesIO:
    """Copy an .xlsx or .xlsm file. dates_as_numbers: no cell of the copy is shown as a date."""
    copy = BytesIO()
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(copy, "w") as after:
        shared = "xl/sharedStrings.xml"
        texts = len(_TEXT.findall(before.read(shared))) if shared in before.namelist() else 0
        for item in before.infolist():
            content = before.read(item)
            if item.filename.startswith("xl/worksheets/") and item.filename.endswith(".xml"):
                content = _readable(content, texts)
            elif dates_as_numbers and item.filename == "xl/styles.xml":
                content = _SHOWN_AS.sub(_as_number, content)
            after.writestr(item, content)
    copy.seek(0)
    return copy


def _readable(sheet: bytes, texts: int) -> bytes:
    """Change the cells that no reader knows. texts: how many the file has that cells share."""

    def within(found: re.Match[bytes]) -> bytes:
        # Twenty digits are more than any sheet has; on thousands of them int() raises.
        known = found[2].isdigit() and int(found[2][:20]) < texts
        return found[0] if known else found[1] + found[3]

    sheet = _SHARED_TEXT.sub(within, _ERROR.sub(rb"\1#N/A\2", sheet))
    sheet = _NUMBER.sub(rb"\1", sheet)  # without a type a number is one, and what is none is text
    return _NO_TYPE.sub(rb"\1str\2", _NO_TRUTH.sub(rb"\1str\2", sheet))


def _as_number(found: re.Match[bytes]) -> bytes:
    return b'numFmtId="0"' if found[0].startswith(b"numFmtId") else b'formatCode="General"'
