"""The messages of the public contract, made at run time.

Generated stubs check the version of protobuf that made them; descriptors do
not: one file serves protobuf 3.20 and the newest. They live in a pool of their
own, where no other package's google.rpc messages can clash with ours.

``contract.binpb`` is written by ``script/contract`` from proto/; a test
compares the two.
"""

from __future__ import annotations

import importlib.resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def _load() -> descriptor_pool.DescriptorPool:
    data = (
        importlib.resources.files("timbre")
        .joinpath("contract.binpb")
        .read_bytes()
    )
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_pool = _load()


def _message(name: str) -> Any:
    descriptor = _pool.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(_pool).GetPrototype(descriptor)


def _enum(name: str) -> dict[str, int]:
    """Names without their common prefix, in lower case, to numbers."""
    descriptor = _pool.FindEnumTypeByName("timbre.v1." + name)
    values = {value.name: value.number for value in descriptor.values}
    zero = next(name for name, number in values.items() if number == 0)
    prefix = zero[: -len("UNSPECIFIED")]
    return {
        name[len(prefix) :].lower(): number for name, number in values.items()
    }


def _v1(name: str) -> Any:
    return _message("timbre.v1." + name)


ActivateVersionRequest = _v1("ActivateVersionRequest")
BlendParams = _v1("BlendParams")
BlendRequest = _v1("BlendRequest")
BlendResponse = _v1("BlendResponse")
BuildOptions = _v1("BuildOptions")
BuildRequest = _v1("BuildRequest")
BuildResponse = _v1("BuildResponse")
DeleteSpeakerRequest = _v1("DeleteSpeakerRequest")
DeleteSpeakerResponse = _v1("DeleteSpeakerResponse")
DeleteVersionRequest = _v1("DeleteVersionRequest")
ExportRequest = _v1("ExportRequest")
ExportResponse = _v1("ExportResponse")
Frames = _v1("Frames")
GetServerInfoRequest = _v1("GetServerInfoRequest")
GetSpeakerRequest = _v1("GetSpeakerRequest")
ListSpeakersRequest = _v1("ListSpeakersRequest")
ListSpeakersResponse = _v1("ListSpeakersResponse")
ReadFramesRequest = _v1("ReadFramesRequest")
ReadFramesResponse = _v1("ReadFramesResponse")
SearchParams = _v1("SearchParams")
SearchRequest = _v1("SearchRequest")
SearchResponse = _v1("SearchResponse")
ServerInfo = _v1("ServerInfo")
Speaker = _v1("Speaker")
TuneRequest = _v1("TuneRequest")
TuneResponse = _v1("TuneResponse")
VerifyRequest = _v1("VerifyRequest")
VerifyResponse = _v1("VerifyResponse")

# google.rpc, by the names that proto/timbre/rpc gives them.
Status = _message("timbre.rpc.Status")
ErrorInfo = _message("timbre.rpc.ErrorInfo")
BadRequest = _message("timbre.rpc.BadRequest")
RetryInfo = _message("timbre.rpc.RetryInfo")

ELEMENT_TYPES = _enum("ElementType")
EXPORT_FORMATS = _enum("ExportFormat")
METRICS = _enum("Metric")
WEIGHTINGS = _enum("Weighting")
DEGRADATIONS = _enum("Degradation")
STAGES = _enum("BuildProgress.Stage")

RETRIEVAL = "/timbre.v1.Retrieval/"
SEARCH = RETRIEVAL + "Search"
BLEND = RETRIEVAL + "Blend"
BUILD = RETRIEVAL + "Build"
CATALOG = "/timbre.v1.Catalog/"
TUNE = CATALOG + "Tune"
