"""Flower's side of the server: SuperLink, messages, and the rounds over them."""
