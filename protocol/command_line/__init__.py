"""The grammar of the commands: ``command --flag value``, said in one line where it does not fit."""
