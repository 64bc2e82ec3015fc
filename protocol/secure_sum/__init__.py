"""The secure sum: the server learns the sum of the hospitals' integers, and nothing else of them.

Bonawitz et al. 2017, "Practical secure aggregation for privacy-preserving machine learning" (the protocol
against a server that lies), with keys that are dealt once per study. One file per step:

    thresholds          how many may help the server, how many must answer, how many honest are in any sum
    noise_shares        the variance of one hospital's noise, and the noise multiplier against each adversary
    discrete_gaussian   that noise, sampled exactly
    grid                a clipped sum as integers
    integer_release     both of them: what a hospital has to mask
    keys, roster        X25519 keys of the hospitals, and the list by which they know each other
    sharing, seal       shares of a secret, and how they travel
    label               what one sum is about; two hospitals with different labels cannot be added
    masks               trip 1: what hides one hospital's integers
    survivors           trip 2: which one share is given for each member
    exchange            what travels, and its bytes
    unmask              the server: shares to masks, masks to the sum, and who is to blame where that fails

All of it is pure: no files, no network, no clock. Randomness is a ``Keystream`` that is passed in.
``tests/protocol/secure_sum/test_whole_protocol.py`` runs both trips in memory, drop-outs and a lying server
included.
"""
