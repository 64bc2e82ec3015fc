"""A hospital's home folder: settings, keys, terms, and the log of its rounds."""
