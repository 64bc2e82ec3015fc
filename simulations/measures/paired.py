"""Two scores on the same patients: the difference of their AUCs within each hospital, with its error.

DeLong, DeLong and Clarke-Pearson 1988, with patients as clusters (Obuchowski 1997): a patient's events are not
independent, and both scores see the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats, Integers


@dataclass(frozen=True, eq=False)
class PairedDifference:
    """Per hospital, float64 [hospitals]; NaN where the held-out patients have one class.

    value: AUC of the first score less that of the second. error: its standard deviation over draws of patients.
    """

    value: Floats
    error: Floats

    def upper(self, level: float = 0.95) -> Floats:
        """Upper end of the two-sided interval at this level."""
        return self.value + NormalDist().inv_cdf((1 + level) / 2) * self.error


@dataclass(frozen=True)
class NoWorseOff:
    """Of the hospitals with enough patients: which share is not worse off than alone, and who the others are.

    A hospital is worse off where the whole interval of its AUC, personalised less alone, lies below 0.
    ``alone`` sees its records without any privacy.
    """

    share: float
    hospitals: int
    least_patients: int
    confidence: float
    exceptions: tuple[str, ...]


LEAST_PATIENTS = 200


def no_worse_off(
    found: PairedDifference, hospitals: Sequence[str], patients: Integers, confidence: float = 0.95
) -> NoWorseOff:
    """Count among hospitals with at least ``LEAST_PATIENTS`` and both classes; NaN share where there is none."""
    counted = (patients >= LEAST_PATIENTS) & ~np.isnan(found.value)
    worse = counted & (found.upper(confidence) < 0)
    number = int(counted.sum())
    share = 1 - float(worse.sum()) / number if number else float("nan")
    named = tuple(hospitals[index] for index in np.flatnonzero(worse).tolist())
    return NoWorseOff(share, number, LEAST_PATIENTS, confidence, named)


def auc_difference(heldout: Cohort, first: Floats, second: Floats) -> PairedDifference:
    """Compare two scores, float64 [events] each, within every hospital."""
    hospital = heldout.hospital_of_patient[heldout.patient_of_event]
    count, labels = heldout.hospital_count, heldout.labels
    events = np.bincount(hospital, minlength=count).astype(np.float64)
    positives = np.bincount(hospital, labels, minlength=count)
    # DeLong's structural components: a positive event weighs one over the positives, a negative one over the negatives.
    own = np.where(labels > 0.5, positives[hospital], (events - positives)[hospital])
    gain = placements(labels, first, hospital, count) - placements(labels, second, hospital, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.bincount(hospital, gain * (labels > 0.5), minlength=count) / positives
        value[(positives == 0) | (positives == events)] = np.nan
    # Each event's part in the difference, centred within its class; summed by patient before squaring.
    parts = (gain - value[hospital]) / own
    by_patient = np.bincount(heldout.patient_of_event, parts, minlength=heldout.patient_count)
    variance = np.bincount(heldout.hospital_of_patient, by_patient**2, minlength=count)
    return PairedDifference(value, np.sqrt(variance))


def placements(labels: Floats, scores: Floats, segments: Integers, count: int) -> Floats:
    """Share of the other class in its segment that each event is on the right side of, ties half: [events].

    The mean over positives, as that over negatives, is the AUC. NaN where the segment lacks the other class.
    """
    everyone = _midranks(scores, segments, count)
    mine = np.empty(len(labels))
    for label in (False, True):
        members = (labels > 0.5) == label
        # Rank among all less rank among one's own class counts those of the other class below.
        mine[members] = _midranks(scores[members], segments[members], count)
    positive = labels > 0.5
    size = np.bincount(segments, minlength=count)
    positives = np.bincount(segments, positive, minlength=count)
    others = np.where(positive, (size - positives)[segments], positives[segments])
    with np.errstate(invalid="ignore", divide="ignore"):
        below = (everyone - mine) / others
    return np.where(positive, below, 1 - below)


def _midranks(scores: Floats, segments: Integers, count: int) -> Floats:
    """Rank of each score within its segment, from 1, ties sharing their mean."""
    order = np.lexsort((scores, segments))
    sorted_scores, sorted_segments = scores[order], segments[order]
    starts = np.flatnonzero(
        np.r_[True, (np.diff(sorted_scores) != 0) | (np.diff(sorted_segments) != 0)][: len(scores)]
    )
    lengths = np.diff(np.r_[starts, len(scores)])
    mean = np.repeat(starts + (lengths + 1) / 2, lengths)
    first = np.concatenate([[0], np.cumsum(np.bincount(segments, minlength=count))])[:-1]
    ranks = np.empty(len(scores))
    ranks[order] = mean - first[sorted_segments]
    return ranks
