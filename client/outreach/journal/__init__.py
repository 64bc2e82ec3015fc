"""The outreach journal: what was proposed, held back, decided and exported, in HOME/outreach.sqlite.

    tokens    what stands in the place of an identifier
    states    what may become of a proposal
    schema    the tables
    believed  whether a clock may be believed
    records   a proposal and a decision as values
    journal   the file: every change is one durable transaction

It is not the ledger: it holds no release, is not signed or exported, and forgets. Nothing in it names a patient.
"""
