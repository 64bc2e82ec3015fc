"""Recalled models, as this hospital recorded them: HOME/recalls/*.recall, or RECALL beside a model.

Guarantee: no command uses a model of a recorded recall, whatever a person accepts otherwise. A recall counts for
good: also where its operator's key has gone out of use since, and where the file does not read any more, since then
nobody can tell which model it names. What such a model chose is neither approved nor exported (``RecalledModels``).
"""

from dataclasses import dataclass
from pathlib import Path

from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.signed_model import ModelAtHand
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import paths_in, write_durably
from wardround.protocol.model.model_file import StoredModel
from wardround.protocol.wire.recall import RECALL, RECALL_FORM, SignedRecall, read_recall
from wardround.protocol.wire.signed_file import load_content


class ModelRecalled(ConfigurationError):
    """The model is of a recall that was recorded here, and so of one that this hospital's people are told of."""


@dataclass(frozen=True)
class RecalledModels:
    """What the recorded recalls name: digests of models, and fingerprints of the terms of their studies.

    unreadable: a file of them does not read, so any model may be recalled.
    """

    digests: frozenset[str] = frozenset()
    unreadable: bool = False

    def chose(self, proposal: OutreachProposal) -> bool:
        """Whether a recalled model, in whichever of its files, chose this; never where no model did."""
        if not proposal.model:
            return False
        return self.unreadable or bool(self.digests & {proposal.model, str(proposal.stands_on.get("terms"))})


NONE_RECALLED = RecalledModels()


def recalled_models(folder: Path) -> RecalledModels:
    """Read what was recorded. A file that does not read keeps no standard message back: no model chose it."""
    try:
        recalls = kept_recalls(folder)
    except ConfigurationError:
        return RecalledModels(unreadable=True)
    return RecalledModels(frozenset({digest for one in recalls for digest in (one.model, one.terms)}))


def load_recall(path: Path) -> SignedRecall:
    """Read and verify a recall."""
    return read_recall(load_content(RECALL_FORM, path), path)


def kept_recalls(folder: Path) -> tuple[SignedRecall, ...]:
    """Read what was recorded; ConfigurationError where a file does not read, or the folder: it may name any model."""
    try:
        return tuple(load_recall(path) for path in paths_in(folder, ".recall"))
    except OSError as error:
        raise ConfigurationError(
            f"recalls={folder}: cannot be read ({error.strerror}); until it can no model is used here: have its files "
            "belong to the user that runs this"
        ) from error
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{error}; until this file is there again no model is used here (wardround-hospital recall FILE)"
        ) from error


def keep_recall(folder: Path, recall: SignedRecall) -> bool:
    """Record a recall durably; False where it was recorded already."""
    path = folder / recall.name
    known = path.is_file() and path.read_bytes() == recall.content
    if not known:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, recall.content, 0o600)
    return not known


def refuse_recalled(folder: Path, at_hand: ModelAtHand, stored: StoredModel) -> None:
    """Raise ModelRecalled for a model of a recalled study; nobody may accept it.

    folder: of recorded recalls. One that lies beside the model counts too, whoever signed it: ConfigurationError.
    """
    must = "it must not be used any more: ask the operator for another one"
    for one in kept_recalls(folder):
        if _is_of(one, at_hand, stored):
            raise ModelRecalled(f"model={at_hand.path}: {one}; {must}")
    beside = at_hand.path.parent / RECALL
    if beside.is_file() and _is_of(one := load_recall(beside), at_hand, stored):
        raise ConfigurationError(
            f"model={at_hand.path}: {one}; {must}; and record it here: wardround-hospital recall {beside}"
        )


def _is_of(recall: SignedRecall, at_hand: ModelAtHand, stored: StoredModel) -> bool:
    facts = stored.facts
    named = (facts.get("study"), facts.get("terms_fingerprint")) == (recall.study, recall.terms)
    return named or at_hand.digest == recall.model
