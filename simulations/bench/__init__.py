"""``make bench``: how long things take, as ratios measured in one run; writes docs/performance.md and .json."""
