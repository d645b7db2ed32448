"""Of two versions of one status the better is believed, and what a proxy says
in HTTP is explained."""

import concurrent.futures
import socket
import threading

import grpc
import pytest
import timbre
from proxy import Proxy
from timbre import _contract
from timbre._status import error_of


def details(code, text="the server's own", reason="INVALID_FIELD"):
    status = _contract.Status(code=code, message=text)
    info = _contract.ErrorInfo(reason=reason)
    status.details.add(
        type_url="type.googleapis.com/google.rpc.ErrorInfo",
        value=info.SerializeToString(),
    )
    return (("grpc-status-details-bin", status.SerializeToString()),)


@pytest.mark.parametrize("code", ["CANCELLED", "INTERNAL", "UNKNOWN"])
def test_details_win_over_what_a_proxy_made_of_the_code(code):
    error = error_of(code, "Received RST_STREAM", details(3))
    assert isinstance(error, timbre.InvalidArgument)
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert str(error) == "the server's own"
    drain = error_of(code, "RST_STREAM", details(14, reason="DRAINING"))
    assert isinstance(drain, timbre.Unavailable)


def test_details_without_a_code_or_damaged_change_no_code():
    assert error_of("NOT_FOUND", "no", details(0)).code == "NOT_FOUND"
    damaged = (("grpc-status-details-bin", b"\xff\xff"),)
    assert error_of("NOT_FOUND", "no", damaged).code == "NOT_FOUND"


@pytest.mark.parametrize(
    "http, kind, said",
    [
        (413, timbre.ResourceExhausted, "nginx: client_max_body_size"),
        (502, timbre.Unavailable, "reaches no server"),
        (503, timbre.Unavailable, "reaches no server"),
        (504, timbre.Unavailable, "grpc_read_timeout"),
        (404, timbre.Error, "no Timbre server"),
    ],
)
def test_http_statuses_name_the_likely_cause(http, kind, said):
    error = error_of("UNKNOWN", f"Received http2 header with status: {http}", ())
    assert isinstance(error, kind) and said in str(error)
    assert str(http) in str(error) and error.reason


def test_pages_of_proxies_are_called_so():
    text = "invalid value 'text/html' for content-type"
    error = error_of("UNKNOWN", text, ())
    assert isinstance(error, timbre.Unavailable)
    assert error.reason == "NO_GRPC_ANSWER"


class Server:
    """A gRPC server that answers each call by `answer(context)`."""

    def __init__(self, answer):
        self.calls = 0
        server = self

        def handle(_, context):
            server.calls += 1
            return answer(context)

        class Handler(grpc.GenericRpcHandler):
            def service(self, _):
                return grpc.unary_unary_rpc_method_handler(handle)

        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(2), handlers=[Handler()]
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.stop(0)


def refusing(code, trailers=()):
    def answer(context):
        context.set_trailing_metadata(trailers)
        context.abort(code, "refused")

    return answer


@pytest.mark.parametrize(
    "code, trailers",
    [
        (grpc.StatusCode.UNKNOWN, details(2, reason="OUTCOME_UNKNOWN")),
        (grpc.StatusCode.UNAVAILABLE, details(2, reason="OUTCOME_UNKNOWN")),
        (grpc.StatusCode.CANCELLED, ()),
        (grpc.StatusCode.INTERNAL, ()),
        (grpc.StatusCode.UNAVAILABLE, ()),
    ],
)
def test_a_change_of_unknown_outcome_is_not_repeated(code, trailers):
    with Server(refusing(code, trailers)) as server:
        with timbre.Client(f"127.0.0.1:{server.port}") as client:
            with pytest.raises(timbre.Error):
                client.delete_speaker("alice")
    assert server.calls == 1


def test_a_change_that_the_server_refused_for_now_is_repeated():
    drain = details(14, reason="DRAINING")

    def answer(context):
        if server.calls < 3:
            refusing(grpc.StatusCode.UNAVAILABLE, drain)(context)
        return b""

    with Server(answer) as server:
        with timbre.Client(f"127.0.0.1:{server.port}") as client:
            client.delete_speaker("alice")
    assert server.calls == 3


def test_a_first_connection_that_fails_is_tried_again(server):
    """Also where the call must not be repeated once it was sent."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))  # does not listen yet
    port = taken.getsockname()[1]
    with timbre.Client(f"127.0.0.1:{port}") as client:
        refused = threading.Event()
        after = client._connection.patience

        def patience(**kinds):
            made = after(**kinds)
            inner = made.after

            def heard(*arguments, **options):
                refused.set()
                return inner(*arguments, **options)

            made.after = heard
            return made

        client._connection.patience = patience
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            call = threads.submit(client.delete_speaker, "nobody")
            assert refused.wait(30)
            taken.close()
            proxy = Proxy(server.port, port=port)
            with pytest.raises(timbre.NotFound):
                call.result(30)
            proxy.close()


def test_frames_that_can_be_read_once_are_sent_when_there_is_a_connection(
    server, alice
):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))  # does not listen yet
    port = taken.getsockname()[1]
    with timbre.Client(f"127.0.0.1:{port}") as client:
        with pytest.raises(grpc.RpcError):  # a first connection has failed
            client._connection.channel.unary_unary("/x/y")(b"")
        taken.close()
        proxy = Proxy(server.port, port=port)
        version = client.build("read-once", iter([alice[:99]]))
        assert version.frames == 99
        proxy.close()


def test_a_refusal_that_lasts_is_said_to_be_one():
    with timbre.Client("127.0.0.1:1", timeout_s=20) as client:
        with pytest.raises(timbre.Unavailable, match="onnect"):
            client.delete_speaker("nobody")
