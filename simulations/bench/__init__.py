"""``make bench``: how long things take, as ratios measured in one run; writes docs/lab/performance.md and .json."""
