"""The privacy audit: an attack on the real code path that gives a lower bound on ε."""
