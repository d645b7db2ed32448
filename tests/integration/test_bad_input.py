"""What is refused: by which field, with what left behind (nothing)."""

import grpc
import numpy as np
import pytest

from conftest import build_requests, details_of, pb, speech, to_frames
from refusal import (  # noqa: F401
    FRAMES,
    INVALID,
    raw,
    refused,
    search_second,
    voice,
)

BAD_SPEAKERS = ["", "Victim", "x" * 64, "../victim", "a/b", ".", "vic\0tim"]


@pytest.mark.parametrize("speaker", BAD_SPEAKERS)
def test_bad_speakers_everywhere(server, voice, speaker):
    refused(
        server.retrieval.Search(iter([pb.SearchRequest(speaker=speaker)])),
        INVALID, "speaker",
    )
    refused(
        server.retrieval.Blend(iter([pb.BlendRequest(speaker=speaker)])),
        INVALID, "speaker",
    )
    refused(
        server.retrieval.Build(build_requests(speaker, FRAMES)),
        INVALID, "options.speaker",
    )
    for call, request in (
        (server.catalog.GetSpeaker, pb.GetSpeakerRequest(speaker=speaker)),
        (
            server.catalog.DeleteSpeaker,
            pb.DeleteSpeakerRequest(speaker=speaker),
        ),
        (
            server.catalog.ActivateVersion,
            pb.ActivateVersionRequest(speaker=speaker, version=1),
        ),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(request)
        assert caught.value.code() == INVALID
        assert details_of(caught.value)["fields"] == ["speaker"]
    refused(
        server.catalog.ReadFrames(pb.ReadFramesRequest(speaker=speaker)),
        INVALID, "speaker",
    )
    refused(
        server.catalog.Export(pb.ExportRequest(speaker=speaker)),
        INVALID, "speaker",
    )


def test_a_speaker_that_is_not_utf8_is_named(server, voice):
    bad = b"\x0a\x02\xff\xfe"  # field 1: two bytes
    refused(raw(server, "Retrieval/Search", bad), INVALID, "speaker")
    refused(raw(server, "Catalog/GetSpeaker", bad), INVALID, "speaker")
    refused(
        raw(server, "Retrieval/Build", b"\x0a\x04" + bad),
        INVALID, "options.speaker",
    )


@pytest.mark.parametrize(
    "method", ["Retrieval/Search", "Retrieval/Blend", "Retrieval/Build",
               "Catalog/GetSpeaker", "Catalog/ListSpeakers"],
)
def test_garbage_in_place_of_a_message(server, voice, method):
    refused(raw(server, method, b"\xff" * 40), INVALID, "request")


def test_a_unary_call_without_a_request(server):
    refused(raw(server, "Catalog/GetSpeaker"), INVALID, "request")


def test_unknown_speakers_and_versions(server, voice):
    for request in (
        pb.SearchRequest(speaker="nobody"),
        pb.SearchRequest(speaker="victim", version=9),
        pb.SearchRequest(speaker="victim", version=2**64 - 1),
    ):
        refused(
            server.retrieval.Search(iter([request])),
            grpc.StatusCode.NOT_FOUND,
        )
    refused(
        server.retrieval.Build(
            build_requests("victim", FRAMES, base_version=9)
        ),
        grpc.StatusCode.NOT_FOUND,
    )


def test_another_speaker_or_version_later_in_the_stream(server, voice):
    refused(
        search_second(server, pb.SearchRequest(speaker="nobody")),
        INVALID, "speaker",
    )
    refused(
        search_second(server, pb.SearchRequest(version=99)), INVALID, "version"
    )


BAD_VALUES = [np.nan, np.inf, -np.inf, 3e38, 2e15]


@pytest.mark.parametrize("value", BAD_VALUES)
def test_frames_that_are_not_numbers(server, voice, value):
    frames = FRAMES.copy()
    frames[3, 5] = value
    error = refused(
        search_second(server, pb.SearchRequest(frames=to_frames(frames))),
        INVALID, "frames.data",
    )
    assert "row 3, column 5" in error.details()
    refused(
        server.retrieval.Blend(
            iter([pb.BlendRequest(speaker="victim", frames=to_frames(frames))])
        ),
        INVALID, "frames.data",
    )
    refused(
        server.retrieval.Build(build_requests("victim", frames)),
        INVALID, "frames.data",
    )


def frames_message(**changes):
    message = to_frames(FRAMES)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    "field,changes",
    [
        ("frames.data", {"data": b"123"}),
        ("frames.data", {"data": b"1234" * 33}),
        ("frames.dimension", {"dimension": 0}),
        ("frames.dimension", {"dimension": 64}),
        ("frames.dimension", {"dimension": 2**32 - 1}),
        ("frames.element_type", {"element_type": 17}),
    ],
)
def test_frames_of_a_wrong_shape(server, voice, field, changes):
    bad = frames_message(**changes)
    refused(
        search_second(server, pb.SearchRequest(frames=bad)), INVALID, field
    )
    refused(
        server.retrieval.Build(
            iter(
                [
                    pb.BuildRequest(
                        options=pb.BuildOptions(speaker="victim", dimension=32)
                    ),
                    pb.BuildRequest(frames=bad),
                ]
            )
        ),
        INVALID, field,
    )


@pytest.mark.parametrize(
    "field,params",
    [
        ("params.k", {"k": 1025}),
        ("params.k_factor", {"k_factor": 0.5}),
        ("params.k_factor", {"k_factor": 1001}),
        ("params.k_factor", {"k_factor": float("nan")}),
        ("params.target_recall", {"target_recall": float("nan")}),
        ("params.target_recall", {"target_recall": 1.5}),
        ("params.target_recall", {"target_recall": 0.9, "nprobe": 4}),
        ("params.target_recall", {"target_recall": 0.9, "k_factor": 4}),
    ],
)
def test_search_params_out_of_range(server, voice, field, params):
    request = pb.SearchRequest(params=pb.SearchParams(**params))
    refused(search_second(server, request), INVALID, field)


@pytest.mark.parametrize(
    "field,request_fields",
    [
        ("params.index_rate", {"params": pb.BlendParams(index_rate=1.5)}),
        (
            "params.index_rate",
            {"params": pb.BlendParams(index_rate=float("nan"))},
        ),
        (
            "params.search.k",
            {"params": pb.BlendParams(search=pb.SearchParams(k=1025))},
        ),
        ("params.alpha", {"params": pb.BlendParams(alpha=65)}),
        ("params.alpha", {"params": pb.BlendParams(alpha=float("nan"))}),
        ("params.weighting", {"params": pb.BlendParams(weighting=9)}),
        ("reply_element_type", {"reply_element_type": 9}),
        ("frame_index_rates", {"frame_index_rates": b"1234"}),
        ("frame_index_rates", {"frame_index_rates": b"123"}),
        (
            "frame_index_rates",
            {"frame_index_rates": np.full(20, 1.5, "<f4").tobytes()},
        ),
        (
            "frame_index_rates",
            {"frame_index_rates": np.full(20, np.nan, "<f4").tobytes()},
        ),
    ],
)
def test_blend_requests_out_of_range(server, voice, field, request_fields):
    request = pb.BlendRequest(
        speaker="victim", frames=to_frames(FRAMES), **request_fields
    )
    refused(server.retrieval.Blend(iter([request])), INVALID, field)


def test_too_many_results(server, voice):
    request = pb.SearchRequest(
        speaker="victim", params=pb.SearchParams(k=1024),
        frames=to_frames(speech(1025)),
    )
    refused(server.retrieval.Search(iter([request])), INVALID, "frames.data")


def test_metadata_that_names_another_speaker(server, voice):
    metadata = (("timbre-speaker", "somebody"),)
    refused(
        server.retrieval.Search(
            iter([pb.SearchRequest(speaker="victim")]), metadata=metadata
        ),
        INVALID, "timbre-speaker",
    )
    refused(
        server.retrieval.Build(
            build_requests("victim", FRAMES), metadata=metadata
        ),
        INVALID, "timbre-speaker",
    )
    good = (("timbre-speaker", "victim"),)
    assert list(
        server.retrieval.Search(
            iter([pb.SearchRequest(speaker="victim")]), metadata=good
        )
    )


def test_read_frames_out_of_range(server, voice):
    for field, changes in (
        ("ids", {"ids": [500]}),
        ("ids", {"ids": [1], "first_id": 1}),
        ("ids", {"ids": [0] * 100_001}),
        ("first_id", {"first_id": 501}),
        ("count", {"first_id": 499, "count": 2}),
        ("element_type", {"element_type": 9}),
    ):
        refused(
            server.catalog.ReadFrames(
                pb.ReadFramesRequest(speaker="victim", **changes)
            ),
            INVALID, field,
        )
    refused(
        server.catalog.Export(pb.ExportRequest(speaker="victim", format=9)),
        INVALID, "format",
    )
