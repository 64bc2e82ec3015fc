"""The journal's tables. Times are UTC, ``2026-12-01T09:00:00Z``: their order as texts is that in time."""

VERSION = 1
PROPOSAL_COLUMNS = (
    "token", "recipient", "trigger", "occasion", "topic", "module", "module_digest", "standard", "channel",
    "send_after", "send_before", "arm", "propensity", "population", "made_at", "model", "contract", "stands_on",
    "reasons", "options",
)  # fmt: skip
"""What is written of a proposal, beside its id and its state.

recipient: ``patient`` or ``professional``. occasion: what of the trigger made it due, so that nothing is said twice.
module, standard: names as in ``visit.en``; the one proposed, and the one that would be sent without a model.
send_after, send_before: when it may be sent. arm, propensity: of the protocol that measures it; empty and 1 without.
population: ``known`` or ``unknown``, whether the model knows a history. model, contract: digest and fingerprint, empty
where none chose. stands_on, reasons, options: JSON.
"""
HELD_COLUMNS = ("token", "trigger", "occasion", "rule", "why", "made_at")
SCHEMA = """
CREATE TABLE proposals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL, recipient TEXT NOT NULL, trigger TEXT NOT NULL, occasion TEXT NOT NULL,
    topic TEXT NOT NULL, module TEXT NOT NULL, module_digest TEXT NOT NULL, standard TEXT NOT NULL,
    channel TEXT NOT NULL, send_after TEXT NOT NULL, send_before TEXT NOT NULL,
    arm TEXT NOT NULL, propensity REAL NOT NULL, population TEXT NOT NULL, made_at TEXT NOT NULL,
    model TEXT NOT NULL, contract TEXT NOT NULL,
    stands_on TEXT NOT NULL, reasons TEXT NOT NULL, options TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'proposed'
) STRICT;
-- The same occasion of the same patient is proposed once, however often propose runs or is killed.
CREATE UNIQUE INDEX once ON proposals (token, trigger, occasion) WHERE state <> 'void';
CREATE INDEX by_state ON proposals (state, trigger);
CREATE TABLE held (
    token TEXT NOT NULL, trigger TEXT NOT NULL, occasion TEXT NOT NULL,
    rule TEXT NOT NULL, why TEXT NOT NULL, made_at TEXT NOT NULL,
    PRIMARY KEY (token, trigger, occasion)
) STRICT, WITHOUT ROWID;
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    proposal INTEGER NOT NULL REFERENCES proposals (id) ON DELETE CASCADE,
    at TEXT NOT NULL, person TEXT NOT NULL, act TEXT NOT NULL, reason TEXT NOT NULL
) STRICT;
CREATE INDEX of_proposal ON decisions (proposal);
CREATE TABLE exports (
    proposal INTEGER PRIMARY KEY REFERENCES proposals (id) ON DELETE CASCADE,
    at TEXT NOT NULL, recipient TEXT NOT NULL, state TEXT NOT NULL, digest TEXT NOT NULL
) STRICT;
"""
LOOKS = "CREATE TABLE IF NOT EXISTS clock (sure TEXT NOT NULL, seen TEXT NOT NULL, said TEXT NOT NULL) STRICT"
"""Made with the first look, since journals are older: one row (``believed.Looked``)."""
