"""Who answers for a model's file: its signature is checked over the bytes that are then read, and on nothing else.

Beside MODEL lies its signature (``model.signature``, or the model's own name with that ending). Whatever else of
the study lies there, its card above all, must be what the operator signed.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded
from wardround.protocol.model.model_file import StoredModel, model_content
from wardround.protocol.wire.signed_file import load_content
from wardround.protocol.wire.signed_model import (
    MODEL,
    SIGNATURE,
    SIGNATURE_FORM,
    ModelSignature,
    SignedException,
    read_signature,
    weights_digest,
)
from wardround.protocol.wire.signing import key_fingerprint

_LARGEST_BESIDE = 2**26  # bytes of a card or report; a larger one is none that was signed


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelAtHand:
    """A model's bytes, not read yet, and who answers for them.

    digest: SHA-256, hex. signature: None where nobody signed. beside: the study's other files that lie there, all
    as they were signed.
    """

    path: Path
    content: bytes = field(repr=False)
    digest: str
    signature: ModelSignature | None
    beside: tuple[str, ...] = ()

    @property
    def exception(self) -> SignedException | None:
        """The exception under which the model may be used, None where it needs none."""
        return None if self.signature is None else self.signature.exception


def take_model(path: Path, signature: Path | None, allows: Callable[[str], bool]) -> ModelAtHand:
    """Read a model's bytes and verify what vouches for them; ConfigurationError names the file that does not fit.

    signature: its file, None for the one beside the model. allows: whether an operator's key is one of those that
    this hospital listens to.
    """
    # Read once: what is verified is what is parsed, even if the file is exchanged meanwhile.
    content = model_content(path)
    digest = hashlib.sha256(content).hexdigest()
    found = signature or _beside(path)
    if found is None:
        return ModelAtHand(path=path, content=content, digest=digest, signature=None)
    signed = read_signature(load_content(SIGNATURE_FORM, found), found)
    if not allows(signed.operator):
        raise ConfigurationError(
            f"signature={found}: is signed with a key that policy.yaml does not list, or that is out of use "
            f"({key_fingerprint(signed.operator)}); ask the operator to sign the model again (wardround-serve resume)"
        )
    if signed.files[MODEL] != digest:
        raise ConfigurationError(
            f"model={path}: is not the model that {found} is for, or was changed after it was signed; "
            "ask the operator for both again"
        )
    beside = _verified_beside(path.parent, signed.files)
    return ModelAtHand(path=path, content=content, digest=digest, signature=signed, beside=beside)


def signed_beside(at_hand: ModelAtHand, name: str) -> bytes | None:
    """Read another file of the study, beside the model; None where there is none that the signature covers.

    Of a model that nobody signed whatever lies there: it was accepted as it is.
    """
    path = at_hand.path.parent / name
    if not path.is_file():
        return None
    content = read_bounded(path, _LARGEST_BESIDE)
    if at_hand.signature is None:
        return content
    digest = at_hand.signature.files.get(name)
    if digest is None:
        return None
    # Read anew, and so compared anew: the file may have been exchanged since the model was taken.
    if hashlib.sha256(content).hexdigest() != digest:
        raise ConfigurationError(f"{path}: is not what the operator signed with this model; ask for it again")
    return content


def check_marks(at_hand: ModelAtHand, stored: StoredModel) -> None:
    """Refuse a model whose marks are not what its signature is about, or that claims an exception nobody signed."""
    signed, facts = at_hand.signature, stored.facts
    if signed is None:
        return
    if (facts.get("study"), facts.get("terms_fingerprint")) != (signed.study, signed.terms):
        raise ConfigurationError(
            f"model={at_hand.path}: names another study or other terms than its signature; ask the operator"
        )
    exception, signer = signed.exception, facts.get("exception_by", "")
    if exception is None:
        if signer:
            raise ConfigurationError(
                f"model={at_hand.path}: names an exception that is not signed; ask the operator for both files again"
            )
        return
    # The file's own marks are not signed by themselves: an exception counts only as it stands in the signature.
    marks = (signer, facts.get("exception_reason"), facts.get("release_blocks"))
    fits = marks == (exception.person, exception.reason, "; ".join(exception.limits))
    if not fits or exception.weights != weights_digest(stored.weights):
        raise ConfigurationError(
            f"model={at_hand.path}: its exception was signed for another model, or for other limits; ask the operator"
        )


def _beside(path: Path) -> Path | None:
    own = path.with_suffix(Path(SIGNATURE).suffix)
    return own if own.is_file() else None


def _verified_beside(folder: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    """Compare whatever else of the study lies in the folder; gives the names."""
    there = tuple(name for name in sorted(files) if name != MODEL and (folder / name).is_file())
    for name in there:
        try:
            content = read_bounded(folder / name, _LARGEST_BESIDE)
        except OSError as error:
            raise ConfigurationError(f"{folder / name}: cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != files[name]:
            raise ConfigurationError(
                f"{folder / name}: is not what the operator signed with this model; ask for it again, or keep "
                "each study's files in a folder of their own"
            )
    return there
