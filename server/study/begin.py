"""Whether a study may begin: its terms, new or on disk, and who must be enrolled. Asked before it takes its name."""

from datetime import datetime

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_durably
from wardround.protocol.text.nearest import did_you_mean
from wardround.protocol.wire.signed_terms import SignedTerms, save_terms, signed_terms_to_bytes
from wardround.server.store.operator_home import StudyFolder
from wardround.server.study.own_parts import check_own_parts
from wardround.server.study.served import ServedStudy, check_times
from wardround.server.study.set_up_sums import check_members


def terms_of(folder: StudyFolder, composed: SignedTerms | None) -> SignedTerms:
    """Give the study's terms: those on disk, which must be what was composed, or new ones; nothing is written.

    Terms of the same study that are valid for longer go before those on disk.
    """
    if not folder.terms.exists():
        if composed is None:
            raise ConfigurationError(f"study={folder.folder.name}: has no terms here; start it with train")
        return composed
    signed = folder.signed_terms()
    if composed is not None and composed.terms.fingerprint != signed.terms.fingerprint:
        raise ConfigurationError(
            f"study={folder.folder.name}: exists with other terms ({signed.terms.fingerprint[:12]}); "
            "resume it as it is, or choose another name"
        )
    # The expiry is no part of the fingerprint: to ledgers and hospitals this is the same study.
    return composed if composed is not None and _valid_until(composed) > _valid_until(signed) else signed


def keep_terms(folder: StudyFolder, signed: SignedTerms) -> None:
    """Write new terms, or those of the same study that are valid for longer than those on disk."""
    if not folder.terms.exists():
        folder.folder.mkdir(parents=True, exist_ok=True)
        save_terms(signed, folder.terms)
    elif _valid_until(folder.signed_terms()) < _valid_until(signed):
        write_durably(folder.terms, signed_terms_to_bytes(signed))


def check_new(study: ServedStudy) -> None:
    """ConfigurationError where a study could not run, or not with all of its hospitals: a name may be misspelt."""
    check_own_parts(study.terms)
    check_times(study.terms, study.serving)
    enrolled = study.home.hospitals()
    unknown = [name for name in study.terms.hospitals if name not in enrolled]
    if unknown:
        raise ConfigurationError(
            f"training.public_patients: {', '.join(unknown)} are not enrolled; {did_you_mean(unknown[0], enrolled)}"
            "wardround-serve enrol --request FILE, or begin the study without them"
        )
    check_enrolled(study)


def check_enrolled(study: ServedStudy) -> None:
    """ConfigurationError where fewer than a quorum are enrolled, or terms or members are of other keys."""
    enrolled = study.home.hospitals()
    unknown = [name for name in study.terms.hospitals if name not in enrolled]
    if len(study.terms.hospitals) - len(unknown) < study.quorum:
        raise ConfigurationError(
            f"training.public_patients: {', '.join(unknown)} are not enrolled; wardround-serve enrol --request FILE"
        )
    if study.terms.secure_sum is not None:
        check_members(study, {name: one.signing_key for name, one in enrolled.items()})
    if study.signed.operator != study.home.key().public:
        raise ConfigurationError(
            "terms: are signed with another key than operator.key; use the home in which they were made"
        )


def _valid_until(signed: SignedTerms) -> datetime:
    return datetime.fromisoformat(signed.terms.expires_at)
