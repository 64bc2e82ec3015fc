"""The process that holds tables, policy and ledger, and answers plans at a socket."""
