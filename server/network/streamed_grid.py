"""What carries a study's rounds between machines: Flower's grid, with replies pulled one by one and bounded.

Flower 1.42's own ``pull_messages`` holds every reply that is ready, so that a round of 100 hospitals takes the
memory of 100 releases; it waits up to two hours for a reply whose upload broke off, while everybody else's
deadline passes; and a reply whose parts are not what it says they are ends the run. Here a reply is given to the
round before the next one is fetched, is left for a later look while parts of it are missing, has no more parts
and bytes than an honest one, and belongs to the message that the SuperLink says, whatever it says itself.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, cast

import httpx
from flwr.app import Error, Message, Metadata, RecordDict
from flwr.app.message import make_message
from flwr.common.constant import ErrorCode
from flwr.common.serde_utils import metadata_from_proto
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree
from flwr.proto.runtime_pb2 import PullAppMessagesRequest
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectUnavailableError,
    inflate_object_from_contents,
)
from flwr.superlink.grid.http_grid import HttpGrid

from wardround.protocol.wire.envelope import LARGEST_ANSWER

LARGEST_PARTS = 3
"""A message, its one record, and the answer in it. No part is larger than a request may be (the Doorkeeper)."""
LARGEST_REPLY = LARGEST_ANSWER + 2**16  # bytes


class StreamedGrid(HttpGrid):
    """A grid whose replies are a stream; memory is one reply's, however many are ready."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Take what Flower's ``HttpGrid`` takes."""
        super().__init__(*arguments, **named)
        self._claimed: dict[str, tuple[Metadata, ObjectTree]] = {}

    def pull_messages(self, message_ids: Iterable[str]) -> Iterator[Message]:
        """Yield the replies to these messages that are whole; fetches the next when it is asked for.

        A reply that cannot be read comes as a message without content. httpx's errors pass.
        """
        wanted = set(message_ids)
        self._claimed = {asked: claim for asked, claim in self._claimed.items() if asked in wanted}
        unclaimed = wanted - self._claimed.keys()
        if unclaimed:
            found = self._runtime_client.PullMessages(PullAppMessagesRequest(message_ids=unclaimed))
            for proto, tree in zip(found.messages_list, found.message_object_trees, strict=True):
                self._claimed[proto.metadata.reply_to_message_id] = metadata_from_proto(proto.metadata), tree
        for asked, (metadata, tree) in list(self._claimed.items()):
            message = self._reply(metadata, tree)
            if message is not None:
                del self._claimed[asked]
                yield message

    def _reply(self, metadata: Metadata, tree: ObjectTree) -> Message | None:
        """Fetch one reply; None while its parts are still being uploaded."""
        try:
            message = self._fetched(metadata, tree)
        except ObjectUnavailableError:
            return None
        except ObjectPullError:  # the upload broke off, and the SuperLink has given it up
            return make_message(metadata, error=Error(code=ErrorCode.MESSAGE_UNAVAILABLE))
        # The server's trouble and not the reply's: whoever carries the run waits for the server.
        except httpx.HTTPError:
            raise
        except Exception:  # whatever a hospital sent that Flower's parsers stumble over
            message = make_message(metadata, RecordDict())
        self._runtime_client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(
                node=self.node, run_id=self.run.run_id, message_object_id=metadata.message_id
            )
        )
        return message

    def _fetched(self, metadata: Metadata, tree: ObjectTree) -> Message:
        parts = [node.object_id for node in islice(iterate_object_tree(tree), LARGEST_PARTS + 1)]
        if len(parts) > LARGEST_PARTS:
            raise ValueError("more parts than an answer has")
        pull = make_pull_object_fn_protobuf(self._runtime_client.PullObject, self.node, self.run.run_id)
        contents: dict[str, bytes] = {}
        for part in parts:
            contents[part] = pull(part)
            if sum(map(len, contents.values())) > LARGEST_REPLY:
                raise ValueError("larger than an answer")
        message = cast(Message, inflate_object_from_contents(metadata.message_id, contents))
        given = {"error": message.error} if message.has_error() else {"content": message.content}
        return make_message(metadata, **given)
