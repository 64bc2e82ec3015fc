"""The synthetic federation: hospitals, patients, messages, consents."""
