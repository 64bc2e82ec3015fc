"""What the operator does next with a study. Pure."""

from collections.abc import Mapping
from typing import Any


def next_step(study: Mapping[str, Any]) -> str:
    """Say it in one line, from how the study stands (``standing``)."""
    name, state = study["study"], study["state"]
    waits = [hospital for hospital, one in study["answers"].items() if one["waits"]]
    if state == "finished":
        if study["recalled"]:
            return "recalled: send model.recall to every hospital, and hand the model out no more"
        if study["releasable"] is False:
            return "not releasable: read its card; approve makes an exception, signed by a person"
        return "read the report" if study["releasable"] is None else "hand out the model with its signature"
    if state == "no event yet":
        return f"it never ran: train it, or study delete --study {name}"
    if study["is_run"] is False:
        return f"nobody runs it: wardround-serve resume --study {name}"
    if waits:
        return f"ask {', '.join(waits)} to decide on it"
    if study["set_up_waits_for"]:
        return f"ask {', '.join(study['set_up_waits_for'])} to connect"
    return "wait"
