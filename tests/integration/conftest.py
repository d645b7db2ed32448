"""Fixtures: a real timbred on a free port, stubs generated from the proto.

Run by `ctest -R integration` or script/test; TIMBRE_BIN names the directory of
the binaries (default build/bin).
"""

import pathlib
import signal
import sys

import grpc
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))

from features import exact, speech  # noqa: E402, F401
from stubs import generate_stubs  # noqa: E402
from timbred import BIN, ROOT, Timbred, wait_for  # noqa: E402, F401

sys.path.insert(0, generate_stubs())

from timbre.rpc import status_pb2  # noqa: E402
from timbre.v1 import retrieval_pb2 as pb  # noqa: E402
from timbre.v1 import retrieval_pb2_grpc as rpc  # noqa: E402


class Server(Timbred):
    """timbred with stubs of its services."""

    channel = None

    def start(self):
        super().start()
        self.connect()
        return self

    def connect(self):
        if self.channel:
            self.channel.close()
        self.channel = grpc.insecure_channel(
            self.address,
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        self.retrieval = rpc.RetrievalStub(self.channel)
        self.catalog = rpc.CatalogStub(self.channel)

    def stop(self, sig=signal.SIGTERM):
        code = super().stop(sig)
        if self.channel:
            self.channel.close()
            self.channel = None
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

    def build_until_training(self, speaker, nlist=12_000):
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
