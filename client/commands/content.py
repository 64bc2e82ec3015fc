"""``content``: what messages to patients may say. Every rule is in ``client.outreach.content``."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from wardround.client.commands.content_contract import contract_of_home
from wardround.client.commands.content_decide import approve, list_modules, retire
from wardround.client.commands.content_draft import draft
from wardround.client.commands.contract_file import read_contract_file
from wardround.client.commands.open_home import open_home
from wardround.client.commands.terminal import say, table
from wardround.client.home.home import load_home
from wardround.client.outreach.content.check import CheckedModule, check, sms_parts
from wardround.client.outreach.content.folder import ContentFolder, begin_folder, read_folder
from wardround.client.outreach.content.guidelines import GUIDELINES
from wardround.client.outreach.content.reading_level import formula_of
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say_json


def run(options: Namespace) -> None:
    """Begin the folder, check it, decide about a module, or draft variants of one."""
    _ACTIONS[options.action](options)


def _begin(options: Namespace) -> None:
    home = load_home(options.home)
    written = begin_folder(home.content_folder, home.date(home.clock()))
    if options.json:
        say_json({"written": [str(path) for path in written]})
        return
    say(*(f"Written: {path}" for path in written))
    say(
        f"Edit {GUIDELINES} first: who approves, who translates, which links. Then: wardround-hospital content check"
    )


def _check(options: Namespace) -> None:
    folder, contract = _folder_and_contract(options)
    reports = check(folder.modules, folder.guidelines, contract)
    faults = [*folder.faults, *(fault for report in reports for fault in report.faults)]
    if options.json:
        contract_name = None if contract is None else contract.name
        say_json({"contract": contract_name, "modules": list(map(_plain, reports)), "faults": faults})
    else:
        _show(reports, folder.folder, faults)
    if faults:
        raise ConfigurationError(
            f"content: {len(faults)} faults in {folder.folder}; fix them, and check again"
        )


def _folder_and_contract(options: Namespace) -> tuple[ContentFolder, Contract | None]:
    """Read the folder, and the contract whose words it uses: None where none is known here."""
    if options.folder is None:
        with open_home(options.home) as opened:
            return read_folder(opened.home.content_folder), contract_of_home(opened, options)
    if options.terms is not None:
        raise ConfigurationError("--terms: only for a home's own content; with FOLDER give --contract FILE")
    file: Path | None = options.contract
    return read_folder(options.folder), None if file is None else read_contract_file(file)


def _show(reports: Sequence[CheckedModule], folder: Path, faults: Sequence[str]) -> None:
    rows = [
        (
            report.module.name,
            report.module.channel,
            sms_parts(report),
            "" if report.reading is None else f"{report.reading:.1f}",
            ", ".join(report.unchecked) or "nothing",
        )
        for report in reports
    ]
    table(
        f"Modules in {folder}",
        ("module", "channel", "sms parts", "reading", "not checked"),
        rows,
        fixed=("module",),
    )
    for language in sorted({report.module.language for report in reports if report.reading is not None}):
        formula = formula_of(language)
        if formula is not None:
            say(f"Reading, {language}: {formula.name}, {formula.unit}.")
    say(*(f"FAULT: {fault}" for fault in faults))
    if not faults:
        say(
            "No fault was found. A list of phrases finds what is on it: a person reads each text and approves it."
        )


def _plain(report: CheckedModule) -> dict[str, object]:
    module = report.module
    return {
        "module": module.name,
        "digest": module.digest,
        "channel": module.channel,
        "sms": None if report.sms is None else vars(report.sms),
        "sms_other_letters": None if report.sms_other is None else vars(report.sms_other),
        "reading": report.reading,
        "not_checked": list(report.unchecked),
    }


_ACTIONS = {
    "begin": _begin,
    "check": _check,
    "approve": approve,
    "retire": retire,
    "list": list_modules,
    "draft": draft,
}
