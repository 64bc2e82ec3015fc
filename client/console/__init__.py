"""The hospital's pages over what its commands do. They hold no rule of their own.

Two processes. The *desk* runs as the agent's user: it knows accounts, roles and sessions, and calls the functions that
the commands call. The *pages* run as a user of their own, face browsers, and may open the desk's socket alone.
"""
