"""The page for patients: facts from contract, policy and ledger (``facts``), said in plain words (``page``)."""
