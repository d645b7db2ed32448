"""What only shows after a while: memory of many streams, clients that do not
read, and drains in the middle of conversions."""

import pathlib
import queue
import threading

import grpc
import numpy as np

from conftest import array_of, details_of, pb, rpc, speech, to_frames, wait_for
from test_load import load
from test_overload import queued_frames

FRAMES = speech(2_000, 32, seed=1)


def resident_bytes(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def test_memory_is_flat_over_100_000_short_streams(new_server):
    server = new_server()
    streams = ("--new_streams", "--voice_frames=2000", "--streams=16",
               "--frames=4", "--voices=1", "--dimension=16")

    def run(seconds):
        made = load(server, "offline", *streams,
                    f"--duration={seconds}s", defaults=("--warm_up=0s",))
        rate = float(made.stdout.split("answered ")[1].split()[0])
        return rate * seconds

    run(2)
    before = resident_bytes(server)
    done = 0
    while done < 100_000:
        done += run(5)
    assert resident_bytes(server) < before + (16 << 20)


def test_a_client_that_does_not_read_holds_nobody_up(new_server):
    server = new_server()
    server.build("voice", FRAMES)
    # 32 MiB of answers, which nobody takes.
    wide = to_frames(speech(8_000, 32, seed=5))

    def requests():
        for _ in range(32):
            yield pb.BlendRequest(speaker="voice", frames=wide)

    stuck = server.retrieval.Blend(requests())
    next(stuck)
    for _ in range(200):
        server.blend("voice", FRAMES[:16])
    # Back-pressure: it was never asked for all of them.
    assert resident_bytes(server) < 200 << 20
    stuck.cancel()
    server.blend("voice", FRAMES[:16])


def hint_of(error):
    """Seconds; some where the connection broke and nobody said."""
    if all(k != "grpc-status-details-bin" for k, _ in error.trailing_metadata()):
        return 0.1
    hint = details_of(error)["retry"].total_seconds()
    assert 0 < hint <= 5
    return hint


class RetryingStream:
    """What a worker does: on UNAVAILABLE it waits as long as the server asks
    for, opens a new stream, of the version that it had, and sends again what
    was not answered."""

    def __init__(self, server):
        self.channel = server.channel
        self._version = 0
        self.reopened = 0
        self._open()

    def _open(self):
        self._requests = queue.SimpleQueue()
        self._answers = rpc.RetrievalStub(self.channel).Blend(
            iter(self._requests.get, None), wait_for_ready=True
        )
        self._first = True

    def blend(self, frames):
        while True:
            request = pb.BlendRequest(frames=to_frames(frames))
            if self._first:
                request.speaker = "voice"
                request.version = self._version
                self._first = False
            self._requests.put(request)
            try:
                answer = next(self._answers)
            except grpc.RpcError as error:
                # gRPC 1.51 ends streams that begin in the very moment of its
                # shutdown with CANCELLED, though nobody cancelled them.
                assert error.code() in (
                    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED
                )
                self._requests.put(None)
                self.reopened += 1
                threading.Event().wait(hint_of(error))
                self._open()
                continue
            self._version = answer.version
            return array_of(answer.frames)


def test_a_drain_in_the_middle_loses_no_frame(new_server):
    server = new_server()
    server.build("voice", FRAMES)
    server.listen = f"127.0.0.1:{server.port}"  # the next one is found there
    blocks = [speech(16, 32, seed=i) for i in range(60)]
    expected = [array_of(server.blend("voice", b).frames) for b in blocks]
    streams = [RetryingStream(server) for _ in range(4)]
    outputs = [[] for _ in streams]
    failures = []
    started = threading.Barrier(len(streams) + 1)
    half = threading.Barrier(len(streams) + 1)

    def convert(stream, out):
        try:
            started.wait()
            for i, block in enumerate(blocks):
                if i == 20:
                    half.wait()
                out.append(stream.blend(block))
        except Exception as error:  # noqa: BLE001 - to the main thread
            failures.append(error)

    threads = [
        threading.Thread(target=convert, args=pair)
        for pair in zip(streams, outputs)
    ]
    for thread in threads:
        thread.start()
    started.wait()
    half.wait()
    channel, server.channel = server.channel, None  # stop() must not close it
    assert server.stop() == 0
    server.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    for out in outputs:
        np.testing.assert_array_equal(np.concatenate(out),
                                      np.concatenate(expected))
    assert all(stream.reopened >= 1 for stream in streams)
    channel.close()


def test_work_whose_deadline_has_passed_is_dropped(new_server):
    server = new_server("--worker_threads=1")
    server.build("slow", speech(30_000, 64), index_factory="Flat")
    request = pb.SearchRequest(
        speaker="slow", frames=to_frames(speech(20_000, 64, seed=5))
    )
    call = server.retrieval.Search(iter([request]), timeout=0.5)
    try:
        list(call)
        raise AssertionError("20,000 exact searches within half a second")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    # What is being searched is given up between two pieces: the gauge falls.
    wait_for(lambda: queued_frames(server) == 0)
    server.search("slow", speech(1, 64))
