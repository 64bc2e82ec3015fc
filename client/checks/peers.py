"""What the doctor says of peers: how many, and where two of them, or one and the policy, contradict each other."""

from collections.abc import Iterator

from wardround.client.checks.finding import Finding, failed, fault, ok
from wardround.client.home.home import Home
from wardround.client.home.peers_folder import kept_peers
from wardround.client.policy.peers import contradictions, latest_by_peers
from wardround.client.policy.policy import Policy
from wardround.protocol.errors import ConfigurationError


def peers(home: Home, policy: Policy) -> Iterator[Finding]:
    """Look at the policy's peers and the files that are kept of them; nothing where there are no peers."""
    kept = kept_peers(home.peers_folder)
    against = list(contradictions(policy.peer_keys, kept.files, home.identity))
    for line in against:
        yield failed("peers", ConfigurationError(line))
    for line in kept.faults:
        remedy = f"import that hospital's newest file, and remove this one of {home.peers_folder}"
        yield fault("peers", line, remedy)
    if policy.peers and not against and not kept.faults:
        files = latest_by_peers(kept.files, policy.peer_keys, home.identity)
        yield ok("peers", f"{len(policy.peers)} hospitals; {len(files)} of them vouch for others")
