"""``recall``: sign that a study's model must not be used any more, for the hospitals to record."""

import hashlib
from argparse import Namespace
from datetime import UTC, datetime

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_new
from wardround.protocol.model.model_file import model_content
from wardround.protocol.text.say import say, say_json
from wardround.protocol.wire.recall import sign_recall
from wardround.server.store.operator_home import load_operator_home
from wardround.server.study.served import look_at


def run(options: Namespace) -> None:
    """Sign it, once; the study's files stay as they are."""
    study = look_at(load_operator_home(options.home), options.study)
    if not study.folder.model.exists():
        raise ConfigurationError(f"study={options.study}: has left no model yet; there is nothing to recall")
    signed = sign_recall(
        study.home.key(),
        study=study.terms.study,
        terms=study.terms.fingerprint,
        model=hashlib.sha256(model_content(study.folder.model)).hexdigest(),
        day=datetime.now(UTC).date(),
        person=options.person,
        reason=options.reason,
    )
    write_new(study.folder.recall, signed.content, 0o644)
    study.log.write("recalled", person=options.person, reason=options.reason)
    if options.json:
        say_json({"study": options.study, "recall": str(study.folder.recall), "day": signed.day.isoformat()})
        return
    say(
        f"{study.folder.recall}: {signed}",
        "Send this file to every hospital of the study; it is recalled there once they ran "
        "wardround-hospital recall FILE.",
    )
