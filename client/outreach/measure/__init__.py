"""Whether outreach helps: a protocol that people sign first, arms drawn by a keyed hash, and what came of them.

    protocol          what is to be found out, and how
    protocol_settings the same, read from protocol.yaml
    protocol_check    whether the tables and modules that it names are there
    protocol_file     the same, signed: from then on it cannot change
    arms              each patient's arm, each arm's part of a capacity, and draws among equal modules
    size              how many patients it takes
    outcomes          one number for each patient, from the hospital's tables
    difference        a difference in means, with patients as clusters
    sequence          intervals that hold at every look
    planned           intervals for looks on dates that were planned
    sample_ratio      whether the arms are as large as they were drawn
    measured          comparisons, groups and guardrails, from one number for each patient
    explored          what drawn modules show of the model's choice
    explored_rows     what the journal holds of such draws
    arms_table        the arms as a table, for a comparison over hospitals
    story             one measurement, from the signed protocol to what it found

All but ``protocol_file``, ``outcomes``, ``arms_table`` and ``story`` is pure.
"""
