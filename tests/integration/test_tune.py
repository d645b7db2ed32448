"""Catalog.Tune and `timbre tune`, against the definitions in numpy."""

import json
import subprocess

import grpc
import numpy as np
import pytest

from conftest import BIN, distances_of, ids_of, pb, speech, to_frames
from refusal import INVALID
from tuning import (  # noqa: F401
    FRAMES,
    QUERIES,
    blend,
    check_curve,
    recall,
    similarity,
    tune,
    tuned,
)


def test_tune_measures_what_searches_find(server, tuned):
    result = tune(server, "tuned", QUERIES)
    assert result.frames == len(QUERIES) and result.version == 1
    check_curve(result.operating_points)
    truth = np.argsort(
        -similarity(pb.METRIC_L2, FRAMES, QUERIES), 1, kind="stable"
    )[:, :8]
    true_distances = -np.take_along_axis(
        similarity(pb.METRIC_L2, FRAMES, QUERIES), truth, 1
    )
    exact_blend = blend(FRAMES, QUERIES, truth, true_distances)
    for point in result.operating_points[::3]:
        response = server.search(
            "tuned", QUERIES,
            pb.SearchParams(nprobe=point.nprobe, k_factor=point.k_factor),
        )
        ids = ids_of(response)
        assert point.recall == pytest.approx(
            recall(pb.METRIC_L2, FRAMES, QUERIES, ids), abs=0.002
        )
        error = np.linalg.norm(
            blend(FRAMES, QUERIES, ids, distances_of(response)) - exact_blend,
            axis=1,
        ) / np.linalg.norm(exact_blend, axis=1)
        assert point.blend_error == pytest.approx(error.mean(), abs=0.003)
    assert result.exact.recall == 1 and result.exact.nprobe == 0
    assert result.exact.microseconds_per_frame > 0
    assert result.one_list.nprobe == 1
    assert 0 < result.one_list.recall < 1


def test_tune_at_another_k(server, tuned):
    result = tune(server, "tuned", QUERIES, k=1, target_recall=0.9)
    assert result.chosen.k == 1
    assert result.chosen.target_recall >= 0.9
    response = server.search(
        "tuned", QUERIES,
        pb.SearchParams(
            k=1, nprobe=result.chosen.nprobe, k_factor=result.chosen.k_factor
        ),
    )
    found = recall(pb.METRIC_L2, FRAMES, QUERIES, ids_of(response), k=1)
    assert found == pytest.approx(result.chosen.target_recall, abs=0.002)


def test_applied_tunings_last_and_leave_open_streams_alone(new_server):
    server = new_server()
    built, _ = server.build("kept", FRAMES)
    requests = [pb.SearchRequest(speaker="kept", frames=to_frames(QUERIES[:5]))]

    def stream():
        yield requests[0]
        tune(server, "kept", QUERIES, target_recall=0.6, apply=True)
        yield pb.SearchRequest(
            frames=to_frames(QUERIES[:5]), params=pb.SearchParams()
        )

    before, after = server.retrieval.Search(stream())
    assert before.effective.nprobe == built.defaults.nprobe
    assert after.neighbors == before.neighbors
    # New streams have the new defaults, now and after a restart.
    for _ in range(2):
        (version,) = server.catalog.GetSpeaker(
            pb.GetSpeakerRequest(speaker="kept")
        ).versions
        assert version.digest == built.digest
        chosen = next(p for p in version.operating_points if p.recall >= 0.6)
        assert version.defaults.nprobe == chosen.nprobe
        effective = server.search("kept", QUERIES[:5]).effective
        assert effective.nprobe == chosen.nprobe < built.defaults.nprobe
        assert effective.k_factor == chosen.k_factor
        server.stop()
        server.start()
    # A damaged file costs the tuning, not the version.
    server.stop()
    path = server.directory / "data/speakers/kept/1/tuning.json"
    path.write_text(path.read_text().replace('"default_nprobe"', '"x'))
    server.start()
    (version,) = server.catalog.GetSpeaker(
        pb.GetSpeakerRequest(speaker="kept")
    ).versions
    assert version.defaults.nprobe == built.defaults.nprobe
    assert "tuning.json" in version.warnings[0]
    tune(server, "kept", QUERIES, apply=True)
    (version,) = server.catalog.GetSpeaker(
        pb.GetSpeakerRequest(speaker="kept")
    ).versions
    assert version.warnings == []


def test_bad_tunings(server, tuned):
    frames = to_frames(QUERIES[:10])
    nan = QUERIES[:10].copy()
    nan[3, 4] = np.nan
    cases = [
        ([], "speaker"),
        ([pb.TuneRequest(speaker="tuned")], "frames"),
        ([pb.TuneRequest(speaker="tuned", k=1025)], "k"),
        ([pb.TuneRequest(speaker="tuned", k=9, apply=True)], "k"),
        ([pb.TuneRequest(speaker="tuned", target_recall=-1)], "target_recall"),
        (
            [
                pb.TuneRequest(speaker="tuned", frames=frames),
                pb.TuneRequest(speaker="other", frames=frames),
            ],
            "speaker",
        ),
        ([pb.TuneRequest(speaker="tuned", frames=to_frames(nan))], "frames.data"),
        (
            [pb.TuneRequest(speaker="tuned", frames=to_frames(speech(3, 16)))],
            "frames.dimension",
        ),
    ]
    for requests, field in cases:
        with pytest.raises(grpc.RpcError) as caught:
            server.catalog.Tune(iter(requests))
        assert caught.value.code() == INVALID, (requests, caught.value)
        assert caught.value.details().startswith(field), caught.value
    many = to_frames(np.repeat(QUERIES[:1], 50_001, 0))
    with pytest.raises(grpc.RpcError) as caught:
        server.catalog.Tune(
            iter([pb.TuneRequest(speaker="tuned", frames=many)] * 2)
        )
    assert "100002 frames" in caught.value.details()
    with pytest.raises(grpc.RpcError) as caught:
        tune(server, "nobody", QUERIES)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_cancelled_tune_leaves_nothing(server, tuned):
    call = server.catalog.Tune.future(
        iter(
            [
                pb.TuneRequest(
                    speaker="tuned", apply=True,
                    frames=to_frames(np.tile(QUERIES, (100, 1))),
                )
            ]
        )
    )
    call.cancel()
    assert call.cancelled()
    assert tune(server, "tuned", QUERIES[:50]).frames == 50
    (version,) = server.catalog.GetSpeaker(
        pb.GetSpeakerRequest(speaker="tuned")
    ).versions
    assert version.operating_points == tuned.operating_points


def test_tuning_from_the_command_line(server, tuned, tmp_path):
    np.save(tmp_path / "q.npy", QUERIES)
    page = tmp_path / "page.html"

    def run(*more):
        return subprocess.run(
            [BIN / "timbre", "tune", "tuned", tmp_path / "q.npy",
             f"--server={server.address}", *more],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout

    text = run(f"--html={page}", "--target_recall=0.8")
    assert "<- chosen" in text and "exact search" in text
    html = page.read_text()
    assert html.count("<svg") == 2 and "as RVC" in html
    result = json.loads(run("--json"))
    assert result["frames"] == len(QUERIES)
    assert result["operating_points"][0]["nprobe"] == 1
