#!/usr/bin/env python3
"""A generator for `content draft`, without a language model: it swaps greetings, and says thank you at the end.

It reads one JSON from standard input and writes one to standard output. Put a call of your own model in the place of
`variant`; what it may say, `guidelines` tells.
"""

import json
import sys

GREETINGS = ("Good day {first_name},", "Hi {first_name},", "Dear {first_name},")


def variant(module, greeting):
    """Write one variant of a module."""
    parts = dict(module["parts"])
    if "greeting" in parts:
        parts["greeting"] = greeting
    last = list(parts)[-1]
    parts[last] += " Thank you."
    return {"parts": parts, "subject": module["subject"], "voice": module["voice"]}


asked = json.load(sys.stdin)
json.dump(
    {"variants": [variant(asked["module"], greeting) for greeting in GREETINGS[: asked["count"]]]}, sys.stdout
)
