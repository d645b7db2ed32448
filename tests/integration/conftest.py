"""Fixtures: a real timbred on a free port, stubs generated from the proto.

Run by `ctest -R integration` or script/test; TIMBRE_BIN names the directory of
the binaries (default build/bin).
"""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import grpc
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TIMBRE_BIN", ROOT / "build" / "bin"))


sys.path.insert(0, str(ROOT / "tests" / "support"))

from stubs import generate_stubs  # noqa: E402

sys.path.insert(0, generate_stubs())

from timbre.rpc import status_pb2  # noqa: E402
from timbre.v1 import retrieval_pb2 as pb  # noqa: E402
from timbre.v1 import retrieval_pb2_grpc as rpc  # noqa: E402


class Server:
    """One timbred process; restartable on the same data directory."""

    def __init__(self, directory, *flags, env=None, listen="127.0.0.1:0"):
        self.directory = pathlib.Path(directory)
        self.flags = flags
        self.env = env
        self.listen = listen
        self.process = None
        self.channel = None

    def start(self):
        port_file = self.directory / "ports"
        port_file.unlink(missing_ok=True)
        self.log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(
            [
                BIN / "timbred",
                f"--data_dir={self.directory / 'data'}",
                f"--listen={self.listen}",
                "--metrics_listen=127.0.0.1:0",
                f"--port_file={port_file}",
                "--min_free_disk=0",
                *self.flags,
            ],
            stderr=self.log,
            env=self.env,
        )
        wait_for(lambda: port_file.exists() or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise RuntimeError((self.directory / "log").read_text())
        ports = dict(
            line.split("=") for line in port_file.read_text().splitlines()
        )
        self.port = int(ports["grpc"])
        self.metrics_port = int(ports["metrics"])
        self.connect()
        return self

    def connect(self):
        if self.channel:
            self.channel.close()
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{self.port}",
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        self.retrieval = rpc.RetrievalStub(self.channel)
        self.catalog = rpc.CatalogStub(self.channel)

    def stop(self, sig=signal.SIGTERM):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(sig)
        code = self.process.wait(timeout=60)
        self.process = None
        if self.channel:
            self.channel.close()
            self.channel = None
        self.log.close()
        return code

    def build(self, speaker, frames, chunk=1000, **options):
        """Builds a version; returns it and the progress messages."""
        progress = []
        for response in self.retrieval.Build(
            build_requests(speaker, frames, chunk, **options)
        ):
            if response.WhichOneof("event") == "version":
                return response.version, progress
            progress.append(response.progress)
        raise AssertionError("no version")

    def build_until_training(self, speaker, nlist=2000):
        """A Build of some seconds that has begun to train: its call."""
        call = self.retrieval.Build(
            build_requests(
                speaker, speech(60_000, 64), 10_000,
                index_factory=f"IVF{nlist},PQ32x4fs,RFlat",
            )
        )
        for response in call:
            if response.progress.stage == pb.BuildProgress.STAGE_TRAINING:
                return call
        raise AssertionError("never trained")

    def search(self, speaker, frames, params=None, **fields):
        request = pb.SearchRequest(
            speaker=speaker, frames=to_frames(frames), params=params, **fields
        )
        (response,) = self.retrieval.Search(iter([request]))
        return response

    def blend(self, speaker, frames, params=None, **fields):
        request = pb.BlendRequest(
            speaker=speaker, frames=to_frames(frames), params=params, **fields
        )
        (response,) = self.retrieval.Blend(iter([request]))
        return response

    def versions(self, speaker):
        try:
            found = self.catalog.GetSpeaker(
                pb.GetSpeakerRequest(speaker=speaker)
            )
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND
            return []
        return [v.version for v in found.versions]


def wait_for(condition, seconds=30):
    """Polls a condition of another process."""
    event = threading.Event()
    for _ in range(int(seconds * 100)):
        if condition():
            return
        event.wait(0.01)
    raise AssertionError("waited in vain")


def to_frames(array, element_type=None):
    array = np.ascontiguousarray(array)
    half = array.dtype == np.float16
    return pb.Frames(
        data=array.astype("<f2" if half else "<f4").tobytes(),
        dimension=array.shape[1],
        element_type=element_type
        or (pb.ELEMENT_TYPE_FLOAT16 if half else pb.ELEMENT_TYPE_FLOAT32),
    )


def build_requests(speaker, frames, chunk=1000, **options):
    yield pb.BuildRequest(options=pb.BuildOptions(speaker=speaker, **options))
    for i in range(0, len(frames), chunk):
        yield pb.BuildRequest(frames=to_frames(frames[i : i + chunk]))


def ids_of(response):
    k = response.neighbors.k
    return np.frombuffer(response.neighbors.ids, "<i8").reshape(-1, k)


def distances_of(response):
    k = response.neighbors.k
    return np.frombuffer(response.neighbors.distances, "<f4").reshape(-1, k)


def array_of(frames):
    half = frames.element_type == pb.ELEMENT_TYPE_FLOAT16
    return np.frombuffer(frames.data, "<f2" if half else "<f4").reshape(
        -1, frames.dimension
    )


def speech(frames, dimension=32, seed=0):
    """Clustered frames on the float16 grid, with drift and duplicates."""
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(40, dimension)) * 2
    phones = np.repeat(random.integers(0, 40, frames // 8 + 1), 8)[:frames]
    x = centers[phones] + random.normal(size=(frames, dimension)) * 0.4
    x[phones == 0] = centers[0]
    return x.astype("f2").astype("f4")


def exact(frames, queries, k=8):
    """Ids and squared L2 distances of exact search, in double precision."""
    a = queries.astype("f8")
    b = frames.astype("f8")
    d = ((a[:, None] - b[None]) ** 2).sum(-1)
    order = np.argsort(d, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(d, order, 1)


def details_of(error):
    """Reason, fields and retry hint of an RpcError."""
    for key, value in error.trailing_metadata():
        if key != "grpc-status-details-bin":
            continue
        status = status_pb2.Status.FromString(value)
        found = {"fields": []}
        for detail in status.details:
            if detail.type_url.endswith("google.rpc.ErrorInfo"):
                info = status_pb2.ErrorInfo.FromString(detail.value)
                assert info.domain == "timbre"
                found["reason"] = info.reason
            elif detail.type_url.endswith("google.rpc.BadRequest"):
                bad = status_pb2.BadRequest.FromString(detail.value)
                found["fields"] += [v.field for v in bad.field_violations]
            elif detail.type_url.endswith("google.rpc.RetryInfo"):
                retry = status_pb2.RetryInfo.FromString(detail.value)
                found["retry"] = retry.retry_delay.ToTimedelta()
        return found
    raise AssertionError("no details")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server that tests share; each uses speakers of its own."""
    running = Server(tmp_path_factory.mktemp("shared")).start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def new_server(tmp_path):
    """Makes servers of one's own, one at a time."""
    made = []

    def make(*flags, **kwargs):
        running = Server(tmp_path, *flags, **kwargs).start()
        made.append(running)
        return running

    yield make
    for running in made:
        running.stop(signal.SIGKILL)
