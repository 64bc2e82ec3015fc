"""``exception.signed``: a person's exception, for one model and for the limits that it was not shown to keep.

Signed with the operator's key, so that neither name, reason, limits nor model can be edited afterwards; it goes
to the hospitals within ``model.signature``, and they read it before they use the model.
"""

from dataclasses import replace
from datetime import date

from wardround.conf.settings import ReleaseDecisionSettings
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_new
from wardround.protocol.wire.signed_file import load_content
from wardround.protocol.wire.signed_model import (
    EXCEPTION_FORM,
    SignedException,
    read_exception,
    sign_exception,
    weights_digest,
)
from wardround.server.evaluation.assess import Assessment
from wardround.server.study.release_decision_file import load_release_decision
from wardround.server.study.served import ServedStudy

_REMEDY = "move the file away, and have the person sign again: wardround-serve approve"


def load_exception(study: ServedStudy) -> SignedException | None:
    """Read the study's exception; ConfigurationError where it is not this study's, or not signed by this operator."""
    path = study.folder.exception
    if not path.exists():
        return None
    found = read_exception(load_content(EXCEPTION_FORM, path), path)
    if found.operator != study.home.key().public:
        raise ConfigurationError(f"exception={path}: is signed with another key than operator.key; {_REMEDY}")
    if (found.study, found.terms) != (study.terms.study, study.terms.fingerprint):
        raise ConfigurationError(f"exception={path}: is for another study or other terms; {_REMEDY}")
    return found


def signed_release_decision(study: ServedStudy) -> tuple[ReleaseDecisionSettings, date]:
    """Give the release decision's settings, with a signed exception in them, and the day of the release."""
    settings, day = load_release_decision(study.folder.release_decision)
    found = load_exception(study)
    if found is None:
        return settings, day
    return replace(settings, exception_by=found.person, exception_reason=found.reason), day


def check_exception(study: ServedStudy, found: Assessment) -> None:
    """Refuse an exception that lets another model pass than the one, or other limits than those, that it names."""
    signed = load_exception(study) if found.release_decision.exception_by else None
    if signed is None:
        return
    # Both: another model could miss the same limits by far more than the person saw.
    if (signed.weights, signed.limits) != (weights_digest(found.weights), found.release_decision.blocks):
        raise ConfigurationError(
            f"exception={study.folder.exception}: {signed.person} signed for another model or other limits; {_REMEDY}"
        )


def write_exception(study: ServedStudy, found: Assessment, person: str, reason: str) -> None:
    """Put a person's name and reason under the limits of this model that were not shown to hold; once."""
    before = load_exception(study)
    if before is not None:
        raise ConfigurationError(f"exception: {before.person} has signed one already; it is not changed")
    signed = sign_exception(
        study.home.key(),
        study=study.terms.study,
        terms=study.terms.fingerprint,
        weights=weights_digest(found.weights),
        limits=found.release_decision.blocks,
        person=person,
        reason=reason,
    )
    write_new(study.folder.exception, signed.content, 0o600)
