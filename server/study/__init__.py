"""One served study: signed, run, evaluated, written down."""
