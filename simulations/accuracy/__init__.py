"""``make bench-accuracy``: how accurate each method is at which ε, on which data, over seeds that draw all."""
