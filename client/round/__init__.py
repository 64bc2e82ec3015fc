"""One round at a hospital: its story from plan to release."""
