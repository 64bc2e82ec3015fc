"""The hospital's commands, one file each, with a ``run(options)`` that raises WardroundError or returns."""
