"""Whether outreach helps: a protocol that people sign first, arms drawn by a keyed hash, and what came of them.

    protocol       what is to be found out, and how; protocol.yaml
    protocol_file  the same, signed: from then on it cannot change
    arms           each patient's arm, each arm's part of a capacity, and draws among equal modules
    size           how many patients it takes
    outcomes       one number for each patient, from the hospital's tables
    difference     a difference in means, with patients as clusters
    sequence       intervals that hold at every look
    planned        intervals for looks on dates that were planned
    multiple       several comparisons at once
    sample_ratio   whether the arms are as large as they were drawn
    explored       what drawn modules show of the model's choice
    guardrails     whether anything got worse
    report         all of it, in the order in which it is read

All but ``protocol_file`` and ``outcomes`` is pure.
"""
