"""Flower's SuperNode at a hospital, which sees messages and no data."""
