"""Exit codes: one meaning per number, for all three commands."""

OK, FAULT, USER_ERROR, STOPPED = 0, 1, 2, 130
"""All well; a fault of the program, to report; something that the user can fix; stopped by a signal."""
