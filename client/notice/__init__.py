"""The page for patients: facts from contract, policy and ledger (``facts``), written in plain words (``page``)."""
