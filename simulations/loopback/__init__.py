"""A real federation on one machine: every part a process of its own, over TLS, with invented patients."""
