"""A call whose events come in another order than usual."""

import collections
import types

import pytest
from timbre._exchange import Ended, Segregated

SEND, RECEIVE, STATUS = Segregated._SEND, Segregated._RECEIVE, Segregated._STATUS


class Operation:
    def __init__(self, message=b"", flags=0):
        self.bytes = message

    def message(self):
        return self.bytes


class Receive(Operation):
    pass


class Status(Operation):
    def code(self):
        return 14

    def details(self):
        return "gone"

    def trailing_metadata(self):
        return ()


class Call:
    """An echo whose messages count as sent `late` events after their answers
    have come."""

    def __init__(self, late):
        self._late = late
        self._events = collections.deque()
        self._sent = collections.deque()
        self._unanswered = collections.deque()
        self._asked = 0

    def operate(self, operations, tag):
        for operation in operations:
            if isinstance(operation, Receive):
                self._asked += 1
            else:
                assert not self._sent, "two messages under way"
                self._unanswered.append((operation.bytes, tag))
                if tag == SEND:
                    self._sent.append(self._late)
        return True

    def next_event(self):
        if self._sent and (self._sent[0] == 0 or not self._unanswered):
            self._sent.popleft()
            return event(SEND)
        if self._asked and self._unanswered:
            self._asked -= 1
            if self._sent:
                self._sent[0] -= 1
            message, _ = self._unanswered.popleft()
            return event(RECEIVE, Receive(b"re: " + message))
        raise AssertionError("waits for ever")

    def cancel(self, code, text):
        self._asked = 0


def event(tag, *operations):
    return types.SimpleNamespace(tag=tag, batch_operations=operations)


def exchange(call):
    """One over `call` instead of a channel."""
    made = Segregated.__new__(Segregated)
    made._api = types.SimpleNamespace(
        SendMessageOperation=Operation, ReceiveMessageOperation=Receive
    )
    made._sending = made._receiving = False
    made._answer = made._ended = None
    made._call = call
    return made


MESSAGES = [b"%d" % i for i in range(9)]
ANSWERS = [b"re: " + message for message in MESSAGES]


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("window", [1, 4])
def test_messages_may_count_as_sent_after_their_answers(late, window):
    one = exchange(Call(late))
    assert list(one.pump(MESSAGES, window)) == ANSWERS


@pytest.mark.parametrize("late", [0, 1])
def test_a_stream_is_used_again_after_such_messages(late):
    one = exchange(Call(late))
    for _ in range(3):
        assert list(one.pump(MESSAGES, 4)) == ANSWERS
        assert one.ask(b"more") == b"re: more"


def test_an_end_while_a_message_is_under_way_is_raised():
    call = Call(1)
    one = exchange(call)
    answers = one.pump(MESSAGES, 4)
    assert next(answers) == ANSWERS[0]
    events = iter([event(STATUS, Status()), event(SEND)])
    call.next_event = lambda: next(events)
    call.operate = lambda operations, tag: True
    with pytest.raises(Ended, match="gone"):
        list(answers)
