"""Wardround: patient-engagement models trained across hospitals, with differential privacy for every patient."""
