"""The record of every release and of the ε that it cost."""
