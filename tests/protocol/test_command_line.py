"""The grammar of the commands: what does not fit is one line that names what would."""

import pytest

from wardround.protocol.command_line.parser import SETTINGS, OneLineParser, begin, number
from wardround.protocol.errors import ConfigurationError


@pytest.fixture
def parser() -> OneLineParser:
    top = begin("ward", "What it is.", "What else.")
    run = top.add_word("run", "run it")
    run.add_argument("--study", required=True)
    run.add_argument("--round-seconds", type=number, default=1.0)
    run.add_argument("--hospital", action="append")
    run.add_argument(SETTINGS, nargs="*")
    ledger = top.add_word("ledger", "the record")
    ledger.add_argument("--home")
    ledger.begin_words("action", "show")
    show = ledger.add_word("show", "show it")
    show.add_argument("--home", default="here")
    show.add_argument("file", nargs="?")
    return top


def test_settings_stand_behind_flags_between_them_or_before_in_their_order(parser: OneLineParser) -> None:
    for line in (
        "run --study tea a=1 b=2 ~c",
        "run a=1 --study tea b=2 --round-seconds 3 ~c",
        "run a=1 b=2 ~c --study=tea",
    ):
        options = parser.parse_args(line.split())
        assert (options.study, options.settings) == ("tea", ["a=1", "b=2", "~c"])
    assert parser.parse_args(["run", "--study", "tea"]).settings == []


def test_a_flag_that_may_be_repeated_is(parser: OneLineParser) -> None:
    options = parser.parse_args(["run", "--study=tea", "--hospital", "north", "--hospital=south"])
    assert options.hospital == ["north", "south"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "the following arguments are required: COMMAND; see ward --help"),
        ("rum", "rum: unknown command; did you mean run? one of run, ledger; see ward --help"),
        ("ledger shw", "shw: unknown command; did you mean show? one of show; see ward ledger --help"),
        ("run --stud tea", "--stud: unknown flag; did you mean --study? allowed: --help, --study, --round-sec"),
        ("run --colour=red", "--colour: unknown flag; allowed: --help, --study"),
        ("run --study a --study b", "--study: is given twice; give it once; see ward run --help"),
        ("run --study=a --study=a", "--study: is given twice"),
        ("ledger --home a show --home b", "--home: is given twice; give it once; see ward ledger --help"),
        ("run --study", "--study: expected one argument"),
        ("run a=1", "the following arguments are required: --study; see ward run --help"),
        ("run --study a study=b", "study=b: is a flag, not a study's setting; write --study b"),
        ("run --study a round_seconds=9", "round_seconds=9: is a flag, not a study's setting; write --round-sec"),
        ("run --study a --round-seconds ten", "--round-seconds: ten: must be a number"),
        ("run --study a -x", "-x: unknown argument; allowed: --help, --study"),
        ("ledger show file home=x", "home=x: unknown argument; did you mean --home? allowed: --help, --home"),
        ("--completion fish", "--completion: invalid choice: 'fish'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(line: str, said: str, parser: OneLineParser) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parser.parse_args(line.split())
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_an_inner_word_leaves_alone_what_stood_before_it(parser: OneLineParser) -> None:
    assert parser.parse_args(["ledger", "show", "--home", "a"]).home == "a"


def test_the_version_is_one_line(parser: OneLineParser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parser.parse_args(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("wardround ")
