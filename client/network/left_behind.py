"""What Flower's SuperNode leaves behind when a run ends under a message, and how it goes on all the same.

Flower 1.42 fetches a message in steps, and clears it away where a step fails; but not where it fails because the run
has just ended (a study's process was killed, and resumed): ``RunNotRunningException`` passes its ``except Exception``.
The message is then answered though nobody sent the answer for; and since a SuperNode sends one answer for each message
that it fetches, every later one is sent a message late, after its time. The hospital is there, and lost to the study,
until its SuperNode is started again.
"""

from collections.abc import Callable
from typing import Any

LEFT_OVER = 0
"""Stands for the number of a run where only an answer is to be sent: the SuperNode's loop asks no more of it."""


class RunEnded(Exception):
    """The run of a message ended while it was fetched; an ``Exception``, so that Flower clears the message away."""


def leaving_nothing_behind(
    pull: Callable[..., int | None], ended: type[BaseException]
) -> Callable[..., int | None]:
    """Wrap the SuperNode's step that fetches a message. ended: what Flower raises where the run has ended.

    Of a message whose run ends meanwhile nothing is kept; and where no message has come, but an answer waits (the shim
    was quicker than the news), that answer is sent now.
    """

    def pulled(*, state: Any, pull_object: Any, confirm_message_received: Any, **others: Any) -> int | None:
        run = pull(
            state=state,
            pull_object=_as_exception(pull_object, ended),
            confirm_message_received=_as_exception(confirm_message_received, ended),
            **others,
        )
        return LEFT_OVER if run is None and answer_waits(state) else run

    return pulled


def answer_waits(state: Any) -> bool:
    """Whether an answer lies in a SuperNode's state that was not taken yet to be sent."""
    with state.lock_msg_store:
        entries = list(state.msg_store.values())
    return any(one.message.metadata.reply_to_message_id and not one.is_retrieved for one in entries)


def _as_exception(call: Callable[..., Any], ended: type[BaseException]) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except ended as error:
            raise RunEnded("its run has ended") from error

    return called
