"""The grammar of the commands: ``command --flag value``, with one line where it does not fit."""
