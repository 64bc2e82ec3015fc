"""``supernode``: run Flower's SuperNode, which carries messages between the server and the agent's socket."""

from argparse import Namespace

from wardround.client.network.supernode import FOLDER, become_supernode, load_node_settings
from wardround.protocol.text.say import complain


def run(options: Namespace) -> None:
    """Become the SuperNode; it waits for the server, and for plans, until it is stopped."""
    folder = options.home / FOLDER
    settings = load_node_settings(folder)
    complain(
        f"{settings.hospital}: connecting to {settings.address}; waiting until the operator has enrolled this node"
    )
    become_supernode(folder)
