"""What makes a message due: the hospital's own ``outreach.yaml``, and patterns in its own tables.

    trigger        one declared pattern: which tables, which days, which modules
    settings       the whole file: consents, hours, caps, sensitive topics, capacities, triggers
    settings_file  where it lies, and the one that ``outreach begin`` writes

What the file does not declare is not proposed.
"""
