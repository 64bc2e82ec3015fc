"""What may be typed after those commands of ``wardround-serve`` that are about one study."""

from argparse import SUPPRESS
from collections.abc import Mapping
from pathlib import Path

from wardround.conf.help import help_text
from wardround.protocol.command_line.parser import SETTINGS, OneLineParser, number


def run(parser: OneLineParser) -> None:
    """Flags of forecast and train."""
    waits(parser)
    _composed(parser)


def terms(parser: OneLineParser) -> None:
    """Flags of terms."""
    _signed(parser)
    _composed(parser)


def _signed(parser: OneLineParser) -> None:
    of_study(parser)
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="the operator's signing key")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new file of signed terms")


def contract(parser: OneLineParser) -> None:
    """Words behind contract, and their flags."""
    parser.begin_words("action", "advise")
    advise = parser.add_word("advise", "say from public numbers what the study's noise would hide")
    # The outer word's default would be undone by an inner one's.
    advise.add_argument("--json", action="store_true", default=SUPPRESS, help="print JSON, for scripts")
    _composed(advise)


def feasibility(parser: OneLineParser) -> None:
    """Words behind feasibility, and their flags."""
    _query(parser, "feasibility", _FEASIBILITY)


def uplift(parser: OneLineParser) -> None:
    """Words behind uplift, and their flags."""
    _query(parser, "uplift", _UPLIFT)


def _query(parser: OneLineParser, kind: str, summaries: Mapping[str, str]) -> None:
    parser.set_defaults(query=kind)
    parser.begin_words("action", "forecast|terms|run|show")
    for name, summary in summaries.items():
        one = parser.add_word(name, summary)
        # The outer word's defaults would be undone by an inner one's.
        if name != "run":
            one.add_argument("--json", action="store_true", default=SUPPRESS, help="print JSON, for scripts")
        if name == "terms":
            _signed(one)
        else:
            one.add_argument(
                "--home", type=Path, default=Path(), metavar="DIR", help="the operator's folder (default: .)"
            )
            of_study(one) if name == "show" else waits(one)
        if name != "show":
            _composed(one, kind)


_FEASIBILITY = {
    "forecast": "show what the counts would cost, and who would refuse them; signs nothing",
    "terms": "find the noise that ε needs, and sign the terms",
    "run": "sign the terms and ask the hospitals, or go on asking",
    "show": "show what was counted, what to declare, and at which ε a study can work",
}


_UPLIFT = {
    "forecast": "show what the comparison would cost and how exact it would be; signs nothing",
    "terms": "find the noise that ε needs, and sign the terms",
    "run": "sign the terms and ask the hospitals, or go on asking",
    "show": "show each arm's mean outcome, and the differences over all and by group",
}


def kept_study(parser: OneLineParser) -> None:
    """Words behind study, and their flags."""
    parser.begin_words("action", "delete")
    delete = parser.add_word(
        "delete", "remove a study of which no hospital was asked anything; frees its name"
    )
    of_study(delete)
    # The outer word's defaults would be undone by an inner one's.
    delete.add_argument("--home", type=Path, default=SUPPRESS, metavar="DIR", help="the operator's folder")
    delete.add_argument("--json", action="store_true", default=SUPPRESS, help="print JSON, for scripts")


def waits(parser: OneLineParser) -> None:
    """Flags of whatever asks hospitals, and waits for them."""
    of_study(parser)
    parser.add_argument(
        "--round-seconds",
        type=number,
        default=600.0,
        metavar="S",
        help="a round's deadline; later answers are left out of the round (default: 600)",
    )
    parser.add_argument(
        "--quorum",
        type=number,
        default=0.5,
        metavar="SHARE",
        help="share of hospitals that must answer by then; else the round is asked again (default: 0.5)",
    )
    parser.add_argument(
        "--wait-seconds",
        type=number,
        default=86_400.0,
        metavar="S",
        help="how long to keep asking, or to wait for a server that is down (default: 86400, a day)",
    )


def _composed(parser: OneLineParser, config: str = "serve") -> None:
    parser.add_argument(
        "--show-settings", action="store_true", help="print every setting with its value, and do nothing else"
    )
    parser.add_argument(
        SETTINGS, nargs="*", metavar="SETTING", help="group=option or key=value, as below; after the flags"
    )
    parser.epilog = help_text(config)


def of_study(parser: OneLineParser) -> None:
    """Name the study."""
    parser.add_argument("--study", required=True, metavar="NAME", help="the study's name")
