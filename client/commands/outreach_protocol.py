"""``outreach protocol``: what is to be found out, written down and signed before it begins."""

from argparse import Namespace
from collections.abc import Callable, Mapping

from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.signing import signer
from wardround.client.commands.terminal import say, table
from wardround.client.outreach.content.folder import read_folder
from wardround.client.outreach.measure.protocol import OutreachProtocol
from wardround.client.outreach.measure.protocol_check import protocol_faults
from wardround.client.outreach.measure.protocol_file import (
    SignedProtocol,
    SignedProtocols,
    begin_protocol,
    load_protocol_text,
)
from wardround.client.outreach.measure.protocol_settings import PROTOCOL, read_protocol
from wardround.client.outreach.triggers.settings_file import settings_of
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.answer import types
from wardround.protocol.text.say import say_json


def protocol(options: Namespace) -> None:
    """Begin, check, sign, end or list protocols."""
    with open_home(options.home) as opened:
        _ACTS[options.act](opened, options)


def signed_protocols(opened: OpenHome) -> SignedProtocols:
    """Give the signed protocols of a home."""
    return SignedProtocols(opened.home.approvals_folder, opened.home.key.public)


def _begin(opened: OpenHome, options: Namespace) -> None:
    path = opened.home.folder / PROTOCOL
    begin_protocol(path, opened.home.date(opened.now))
    if options.json:
        say_json({"written": [str(path)]})
        return
    say(f"Written: {path}", "Edit it, then: wardround-hospital outreach protocol check")


def _check(opened: OpenHome, options: Namespace) -> None:
    _, read, faults = _read(opened)
    if options.json:
        say_json({**_plain(read), "faults": faults})
    else:
        _show(read)
        say(*(f"FAULT: {fault}" for fault in faults))
    if faults:
        raise ConfigurationError(f"{PROTOCOL}: {len(faults)} faults; fix them, and check again")


def _sign(opened: OpenHome, options: Namespace) -> None:
    if not options.reason:
        raise ConfigurationError("outreach protocol sign: give --reason TEXT; it is kept with the signature")
    text, read, faults = _read(opened)
    if faults:
        raise ConfigurationError(f"{'; '.join(faults)}; nothing was signed")
    if not options.json:
        say(*text.decode().splitlines())
        _show(read)
    if not options.yes and not types(
        read.name,
        "",
        f"It cannot be changed once it is signed. Type {read.name} to sign it:",
        unattended="outreach protocol sign: nobody is at the terminal to answer; give --yes to answer in advance",
    ):
        raise ConfigurationError(f"outreach protocol sign: {read.name} was not signed; nothing was recorded")
    today = opened.home.date(opened.now)
    who = signer(options)
    signed_protocols(opened).sign(text, who, options.reason, opened.now, today, opened.home.key)
    if options.json:
        say_json({**_plain(read), "signed_by": who})
        return
    say(f"{read.name} is signed by {who}. Patients are counted in from {read.starts}.")


def _end(opened: OpenHome, options: Namespace) -> None:
    if not options.reason or not options.name:
        raise ConfigurationError("outreach protocol end: give the protocol's name and --reason TEXT")
    signed_protocols(opened).end(
        options.name,
        signer(options),
        options.reason,
        opened.now,
        opened.home.date(opened.now),
        opened.home.key,
    )
    if options.json:
        say_json({"ended": options.name})
        return
    say(
        f"{options.name} has ended: nobody more is counted in. What it found: wardround-hospital outreach measure"
    )


def _list(opened: OpenHome, options: Namespace) -> None:
    found = signed_protocols(opened).read()
    if options.json:
        say_json({"protocols": [_plain(one.protocol) | _decision(one) for one in found]})
        return
    rows = [
        (
            one.protocol.name,
            one.protocol.kind,
            str(one.protocol.starts),
            str(one.ended or one.protocol.ends),
            one.person,
        )
        for one in found
    ]
    table("Signed protocols", ("protocol", "kind", "starts", "ends", "signed by"), rows, fixed=("protocol",))


def _read(opened: OpenHome) -> tuple[bytes, OutreachProtocol, list[str]]:
    text = load_protocol_text(opened.home.folder / PROTOCOL)
    read, settings = read_protocol(text), settings_of(opened.home.folder)
    modules = read_folder(opened.home.content_folder).modules
    return text, read, protocol_faults(read, settings, modules, opened.home.source)


def _show(read: OutreachProtocol) -> None:
    say(
        f"{read.name}: {read.question}",
        f"It is {read.kind}{f', approved by {read.approval}' if read.approval else ''}.",
        f"To find a difference of {read.size.difference:.3g} with a chance of {read.size.power:.0%} it takes "
        f"{read.patients:,} patients in all arms together.",
    )
    rows = [(arm, f"{share:.1%}", f"{round(read.patients * share):,}") for arm, share in read.arms.items()]
    table("Arms", ("arm", "share", "patients"), rows, fixed=("arm",))


def _plain(read: OutreachProtocol) -> dict[str, object]:
    return {
        "protocol": read.name,
        "kind": read.kind,
        "approval": read.approval,
        "starts": str(read.starts),
        "ends": str(read.ends),
        "arms": dict(read.arms),
        "patients": read.patients,
    }


def _decision(signed: SignedProtocol) -> dict[str, object]:
    ended = None if signed.ended is None else str(signed.ended)
    return {"signed_by": signed.person, "reason": signed.reason, "at": signed.at.isoformat(), "ended": ended}


_ACTS: Mapping[str, Callable[[OpenHome, Namespace], None]] = {
    "begin": _begin,
    "check": _check,
    "sign": _sign,
    "end": _end,
    "list": _list,
}
