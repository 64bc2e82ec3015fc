"""What may be typed after ``ledger``, ``operators`` and ``peers`` of ``wardround-hospital``."""

from pathlib import Path

from wardround.client.commands.flags import inner, of_person
from wardround.protocol.command_line.parser import OneLineParser, whole_number
from wardround.protocol.command_line.timer_flags import by_timer


def ledger(parser: OneLineParser) -> None:
    """Words behind ledger, and their flags."""
    parser.begin_words("action", "show|verify|export|evidence|backup|restore|recover|clock")
    show = inner(parser, "show", "show the last entries")
    show.add_argument("--last", type=whole_number, default=20, metavar="N", help="how many (default: 20)")
    verify = inner(parser, "verify", "check every entry; needs no home when given an export")
    verify.add_argument(
        "file", nargs="?", type=Path, metavar="EXPORT", help="an export (default: this ledger)"
    )
    verify.add_argument(
        "--key", metavar="KEY", help="the hospital's public key, or its file (default: this hospital's)"
    )
    verify.add_argument(
        "--head", metavar="HASH", help="a head that somebody else kept, which must be in the ledger"
    )
    export = inner(parser, "export", "write all entries, without stored bytes")
    export.add_argument("file", type=Path, metavar="OUT", help="a new file")
    evidence = inner(
        parser, "evidence", "show or verify proof that a server lied: two signed requests for one sum"
    )
    evidence.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="verify this file; needs no home (default: what is kept)",
    )
    evidence.add_argument("--out", type=Path, metavar="OUT", help="write what is kept here into a new file")
    backup = inner(parser, "backup", "write the whole ledger into one file; the agent may run")
    backup.add_argument("file", type=Path, metavar="FILE", help="a new file, or an older backup")
    by_timer(backup, "backup")
    restore = inner(
        parser,
        "restore",
        "put a backup in the place of a ledger that does not open; refused if it lacks the last entry",
    )
    restore.add_argument("file", type=Path, metavar="FILE", help="the newest backup")
    _recover(inner(parser, "recover", _RECOVER))
    clock = inner(parser, "clock", "confirm that the clock is right")
    _reason(clock, "who confirms it")


_RECOVER = "continue after a loss: enter the heads that operators hold, and charge what may have been spent"


def _recover(parser: OneLineParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="the newest backup (default: the ledger file that is there)",
    )
    parser.add_argument(
        "--head",
        action="append",
        metavar="HASH",
        help="an operator's newest head of this hospital; may be repeated",
    )
    parser.add_argument(
        "--terms",
        action="append",
        type=Path,
        metavar="FILE",
        help="signed terms that are not kept here; may be repeated",
    )
    parser.add_argument(
        "--no-other-studies",
        action="store_true",
        help="confirm that no other study was approved after that copy; without it, all ε for life is charged",
    )
    _reason(parser, "who confirms it")
    parser.add_argument("--yes", action="store_true", help="say yes to what is shown, without being asked")


def operators(parser: OneLineParser) -> None:
    """Words behind operators, and their flags."""
    parser.begin_words("action", "list|rotate|revoke")
    inner(parser, "list", "list operators, and whether their keys are in use")
    rotate = inner(parser, "rotate", "replace a key by a new one, which inherits its account")
    revoke = inner(parser, "revoke", "stop using a key, for good")
    for action in (rotate, revoke):
        action.add_argument("key", metavar="KEY", help="the operator's public key, or its file")
    rotate.add_argument("successor", metavar="NEW", help="the new public key, or its file")
    for action in (rotate, revoke):
        _reason(action, "who decides")


def peers(parser: OneLineParser) -> None:
    """Words behind peers, and their flags."""
    parser.begin_words("action", "list|add|remove|sign|import")
    inner(parser, "list", "list peers, whom they vouch for, and where two of them disagree")
    add = inner(parser, "add", "add a hospital whose key you compare by telephone")
    add.add_argument("peer", metavar="PEER", help="its peer file, or its name if you give its key")
    add.add_argument("key", nargs="?", metavar="KEY", help="its public key, or the key's file")
    add.add_argument(
        "--fingerprint", metavar="DIGITS", help="the key's, as that hospital read it out (default: ask)"
    )
    remove = inner(parser, "remove", "remove a peer; what it vouched for no longer counts")
    remove.add_argument("peer", metavar="NAME", help="the peer's name")
    sign = inner(parser, "sign", "write this hospital's peer file: whom it knows itself, signed")
    sign.add_argument(
        "file", nargs="?", type=Path, metavar="OUT", help="a new file (default: HOSPITAL.peers here)"
    )
    given = inner(parser, "import", "read in a peer's own peer file")
    given.add_argument("file", type=Path, metavar="FILE", help="the peer's newest file")


def _reason(parser: OneLineParser, who: str) -> None:
    parser.add_argument("--reason", required=True, help="why; kept in the ledger, one line")
    of_person(parser, who)
