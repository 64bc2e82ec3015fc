"""Who may be written to, about what, and where: consents, vetoes, choices, addresses, caps, hours.

    statements  what patients said in consents, preferences and replies, by one rule for all of them
    vetoes      what beats everything
    reach       which address of which channel reaches a patient, and which one several share
    permission  all of it, for many patients at one time
    rules       the verdict on one message or many: allowed, or held by which rule
    slots       when it may be sent, by the patient's own clock
    caps        how much a patient may get, counted over the journal

Everything here but the reading of tables is pure. A choice or a doubt counts for everybody whom it could mean, a grant
for the one patient whom it names.
"""
