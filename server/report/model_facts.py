"""The texts in a model's file: what it cost, whether and until when it may be used, who is selected."""

import json

from wardround.protocol.terms.terms import Terms
from wardround.server.evaluation.assess import Assessment


def model_facts(terms: Terms, found: Assessment, patient_epsilon: float) -> dict[str, str]:
    """Give every text of a model's file. patient_epsilon: of a training patient, composed."""
    return {
        "study": terms.study,
        "terms_fingerprint": terms.fingerprint,
        # repr: the shortest text that reads back as the same float.
        "patient_epsilon": repr(patient_epsilon),
        "delta": repr(terms.privacy.delta),
        "noise": terms.privacy.noise,
        "simulation": str(terms.simulation).lower(),
        **({"module_digest": terms.module_digest} if terms.module_digest else {}),
        **release_facts(found),
    }


def release_facts(found: Assessment) -> dict[str, str]:
    """Say whether the model may be used, until when, and from which scores its groups are selected."""
    facts = dict(found.release_decision.to_facts())
    if found.thresholds and found.before is not None:
        facts["group_thresholds"] = json.dumps(found.thresholds, ensure_ascii=False)
        facts["selection_threshold"] = repr(found.before.group_report.threshold)
    return facts
