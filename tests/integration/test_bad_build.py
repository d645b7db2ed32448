"""Builds that are refused, with nothing left behind."""

import grpc
import pytest

from conftest import build_requests, details_of, pb, speech, to_frames
from refusal import (  # noqa: F401
    FRAMES,
    INVALID,
    refused,
    search_second,
    voice,
)

OPTIONS = pb.BuildRequest(options=pb.BuildOptions(speaker="victim"))

SOME = pb.BuildRequest(frames=to_frames(FRAMES))


@pytest.mark.parametrize(
    "field,requests",
    [
        ("options", []),
        ("options", [SOME]),
        ("options", [OPTIONS, OPTIONS]),
        ("options", [OPTIONS, SOME, OPTIONS]),
        ("part", [OPTIONS, pb.BuildRequest()]),
        ("frames", [OPTIONS]),
        ("frames", [OPTIONS, pb.BuildRequest(frames=pb.Frames())]),
        (
            "frames.dimension",
            [OPTIONS, SOME, pb.BuildRequest(frames=to_frames(speech(4, 16)))],
        ),
    ],
)
def test_builds_of_a_wrong_shape(server, voice, field, requests):
    refused(server.retrieval.Build(iter(requests)), INVALID, field)


@pytest.mark.parametrize("expected", [19, 21, 2**64 - 1])
def test_another_number_of_frames_than_expected(server, voice, expected):
    call = server.retrieval.Build(
        build_requests("victim", FRAMES, expected_frames=expected)
    )
    if expected > 2**33:
        refused(call, grpc.StatusCode.RESOURCE_EXHAUSTED)
    else:
        refused(call, INVALID, "options.expected_frames")


@pytest.mark.parametrize(
    "factory",
    ["nonsense", "IVF4000000000,Flat", "IVF8,PQ5x4fs,RFlat", "IVF8,PQ16x4fs",
     "IVF0,Flat", "Flat\0", "IVF8," * 1000],
)
def test_factory_strings_that_make_no_index(server, voice, factory):
    error = refused(
        server.retrieval.Build(
            build_requests("victim", FRAMES, index_factory=factory)
        ),
        INVALID, "options.index_factory",
    )
    assert len(error.details()) < 500


def test_dimensions_out_of_range(server, voice):
    for dimension in (1, 5000):
        refused(
            server.retrieval.Build(
                build_requests("victim", FRAMES, dimension=dimension)
            ),
            INVALID, "options.dimension",
        )


@pytest.mark.parametrize(
    "options, field",
    [
        ({"database_expansion_k": 1025}, "database_expansion_k"),
        ({"database_expansion_alpha": 2}, "database_expansion_alpha"),
        (
            {"database_expansion_k": 3, "database_expansion_alpha": 65},
            "database_expansion_alpha",
        ),
        ({"target_recall": 1.5}, "target_recall"),
        ({"target_recall": float("nan")}, "target_recall"),
    ],
)
def test_options_of_tuning_out_of_their_ranges(server, voice, options, field):
    refused(
        server.retrieval.Build(build_requests("victim", FRAMES, **options)),
        grpc.StatusCode.INVALID_ARGUMENT,
        f"options.{field}",
    )


def test_limits_of_a_build(new_server):
    server = new_server("--max_build_frames=100")
    refused(
        server.retrieval.Build(build_requests("big", speech(101), chunk=10)),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )
    server.build("big", speech(100))
    refused(
        server.retrieval.Build(
            build_requests("big", speech(1), base_version=1)
        ),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )
    assert server.versions("big") == [1]


def test_more_frames_than_an_index_can_hold_are_refused_when_announced(
    new_server,
):
    server = new_server("--max_build_frames=0")
    most = 2**31
    error = refused(
        server.retrieval.Build(
            build_requests("vast", FRAMES, expected_frames=most + 1)
        ),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )
    assert details_of(error)["reason"] == "TOO_MANY_FRAMES"
    assert f"{most} that an index can hold" in error.details()
    # So many are right, if they only came.
    refused(
        server.retrieval.Build(
            build_requests("vast", FRAMES, expected_frames=most)
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        "options.expected_frames",
    )
    # With those of its base.
    server.build("vast", FRAMES)
    error = refused(
        server.retrieval.Build(
            build_requests(
                "vast", FRAMES, expected_frames=most, base_version=1
            )
        ),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )
    assert details_of(error)["reason"] == "TOO_MANY_FRAMES"


def test_too_little_free_disk(new_server):
    server = new_server("--min_free_disk=1000000000000000")
    error = refused(
        server.retrieval.Build(build_requests("full", speech(10))),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )
    assert "--min_free_disk" in error.details()
    assert details_of(error)["reason"] == "DISK_FULL"
