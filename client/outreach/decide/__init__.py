"""A person decides, and what they approved leaves once.

acts        what people did, each signed: the log HOME/approvals/outreach.log
rules       who may decide, when two people are needed, how long reading takes
signed      what of it holds for a proposal
standing    two people's yes to trigger × module × population, with caps and samples
queue       what waits, as a clinician and as communications see it
message     a proposal written out for its patient
sendable    whether a message may still leave, looked at anew
senders/    a CSV file, a FHIR file, a POST for each message
export      approved → exporting → exported, once each
inbound     replies, bounces, complaints and calls, turned into withdrawals
drawn_messages  what chance drew and what left, each with its propensity, as a table of the hospital's own
about       what a patient may ask: what was sent, why, on which consent
"""
