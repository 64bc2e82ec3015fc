"""A study's calls that are made again because no answer came: answered as the first time.

A server that is busy carries out a call whose caller has given it up and calls again. Flower 1.42 then takes the
second call for another: a reply is given to whoever asks first, and whoever asks again is told that there is none;
messages that are there already are laid down by another session, and a part that has come is refused, each of which
ends the run. And a run whose process was not heard for a minute is over, though it was the server that did not listen.
Each time all hospitals would be asked again.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from flwr.proto.runtime_pb2 import PullAppMessagesRequest

UNHEARD_BEATS = 15
"""Flower's beats of 30 s after which a run is over of whose process nothing was heard: longer than its calls last."""
_MOST_RUNS = 64
_MOST_PUSHES = 64
_MOST_PARTS = 2**14


class RepeatedCalls:
    """What studies were answered, for as long as they may ask for it again. From any thread; handlers: Flower's."""

    def __init__(self) -> None:
        """Nothing was answered yet."""
        # One call at a time: a first one that is still under way is over before its repeat is looked at. SQLite lets
        # one write anyway.
        self._lock = threading.Lock()
        self._given: OrderedDict[int, dict[str, tuple[Any, Any]]] = OrderedDict()
        self._pushes: OrderedDict[Any, Any] = OrderedDict()
        self._parts: OrderedDict[Any, Any] = OrderedDict()

    def pull_messages(self, handler: Any, request: Any, state: Any, task: Any) -> Any:
        """Give a run the replies that are new, and again those that it still asks for.

        ``StreamedGrid`` asks for a reply until it has been told of it; so who asks again was not.
        """
        asked = set(request.message_ids)
        with self._lock:
            before = self._given.get(task.run_id, {})
            again = {asked_id: given for asked_id, given in before.items() if asked_id in asked}
            answer = handler(PullAppMessagesRequest(message_ids=asked - again.keys()), state, task)
            found = zip(answer.messages_list, answer.message_object_trees, strict=True)
            new = {message.metadata.reply_to_message_id: (message, tree) for message, tree in found}
            for message, tree in again.values():
                answer.messages_list.append(message)
                answer.message_object_trees.append(tree)
            _keep(self._given, task.run_id, again | new, _MOST_RUNS)
        return answer

    def push_messages(self, handler: Any, request: Any, state: Any, task: Any) -> Any:
        """Lay a study's messages down once, by one session."""
        names = tuple(message.metadata.message_id for message in request.messages_list)
        call = partial(handler, request, state, task)
        return self._once(self._pushes, (task.run_id, names), _MOST_PUSHES, call, lambda answer: True)

    def push_object(self, handler: Any, request: Any, state: Any, task: Any) -> Any:
        """Take a part of a study's message once; one that was refused may come again."""
        part = task.run_id, request.session_id, request.object_id
        call = partial(handler, request, state, task)
        return self._once(self._parts, part, _MOST_PARTS, call, lambda answer: bool(answer.stored))

    def _once(
        self,
        answers: OrderedDict[Any, Any],
        key: Any,
        most: int,
        call: Callable[[], Any],
        holds: Callable[[Any], bool],
    ) -> Any:
        with self._lock:
            if key in answers:
                return answers[key]
            answer = call()
            if holds(answer):
                _keep(answers, key, answer, most)
        return answer


def answer_repeats(handlers: Any, states: Any, calls: RepeatedCalls) -> None:
    """Put ``calls`` before Flower's module of Runtime handlers, and have the module of its states wait for runs."""
    for name in ("pull_messages", "push_messages", "push_object"):
        setattr(handlers, name, partial(getattr(calls, name), getattr(handlers, name)))
    states.HEARTBEAT_PATIENCE = UNHEARD_BEATS


def _keep(answers: OrderedDict[Any, Any], key: Any, answer: Any, most: int) -> None:
    answers[key] = answer
    answers.move_to_end(key)
    while len(answers) > most:
        answers.popitem(last=False)
