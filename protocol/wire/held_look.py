"""The two HTTP headers by which SuperNode and SuperLink agree that a look for messages is held until there is one.

Neither is needed: a side of an earlier release sends none and ignores the other's, and looks are answered at once.
"""

WAIT = "wardround-wait"
"""In a request: its sender can wait for a message."""
HELD = "wardround-held"
"""In an answer: the look was held, and the server has noted meanwhile that the node lives."""
LONGEST_HELD_SECONDS = 16.0
"""Below the 30 s after which Flower's client gives up a call, and a NAT may forget a line that says nothing."""
