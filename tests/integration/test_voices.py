"""Several voices mixed into one."""

import grpc
import numpy as np
import pytest
from conftest import array_of, details_of, pb, speech, to_frames

QUERIES = speech(300, 32, seed=50) + np.float32(0.0625)
EXACT = pb.SearchParams(nprobe=10_000, k_factor=1000)


@pytest.fixture(scope="module")
def voices(server):
    for i, name in enumerate(("mix-a", "mix-b", "mix-c")):
        server.build(name, speech(1500, 32, seed=60 + i) + np.float32(i))
    server.build("mix-wide", speech(100, 64))
    return server


def named(**weights):
    return [
        pb.VoiceWeight(speaker=name.replace("_", "-"), weight=weight)
        for name, weight in weights.items()
    ]


def mix(server, voices, rate=1.0, frames=QUERIES, **fields):
    params = pb.BlendParams(index_rate=rate, search=EXACT)
    request = pb.BlendRequest(
        voices=voices, params=params, frames=to_frames(frames), **fields
    )
    (response,) = server.retrieval.Blend(iter([request]))
    return response


def alone(server, name, rate=1.0):
    params = pb.BlendParams(index_rate=rate, search=EXACT)
    return server.blend(name, QUERIES, params)


@pytest.mark.parametrize("rate", [1.0, 0.6, 0.0])
def test_a_mix_is_the_weighted_sum_of_the_voices(voices, rate):
    response = mix(voices, named(mix_a=0.7, mix_b=0.2, mix_c=0.1), rate)
    parts = [alone(voices, name, 1.0) for name in ("mix-a", "mix-b", "mix-c")]
    means = [array_of(part.frames).astype("f8") for part in parts]
    expected = rate * (
        0.7 * means[0] + 0.2 * means[1] + 0.1 * means[2]
    ) + (1 - rate) * QUERIES
    out = array_of(response.frames)
    assert np.allclose(out, expected, rtol=1e-5, atol=1e-5)
    assert (response.version, list(response.versions)) == (0, [1, 1, 1])
    distance = sum(
        w * p.mean_distance for w, p in zip((0.7, 0.2, 0.1), parts)
    )
    assert response.mean_distance == pytest.approx(distance, rel=1e-4)
    shift = np.linalg.norm(out - QUERIES, axis=1) / np.linalg.norm(
        QUERIES, axis=1
    )
    assert response.mean_shift == pytest.approx(shift.mean(), rel=1e-4)


def test_one_voice_is_that_voice(voices):
    (one,) = {array_of(mix(voices, named(mix_a=5)).frames).tobytes()}
    assert one == array_of(alone(voices, "mix-a").frames).tobytes()


def test_weights_change_from_message_to_message(voices):
    params = pb.BlendParams(index_rate=1, search=EXACT)
    frames = to_frames(QUERIES)
    requests = [
        pb.BlendRequest(voices=named(mix_a=1, mix_b=1), params=params),
        pb.BlendRequest(voices=named(mix_a=1, mix_b=0), frames=frames),
        pb.BlendRequest(frames=frames),
        pb.BlendRequest(voices=named(mix_a=0, mix_b=3), frames=frames),
    ]
    answers = list(voices.retrieval.Blend(iter(requests)))
    a, b = (array_of(alone(voices, n).frames) for n in ("mix-a", "mix-b"))
    outs = [array_of(answer.frames) for answer in answers[1:]]
    for out, expected in zip(outs, (a, a, b)):
        assert np.allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_every_version_stays_as_it_was_pinned(voices):
    rows = speech(400, 32, seed=70)
    voices.build("mix-new", rows)

    def requests():
        yield pb.BlendRequest(
            voices=named(mix_a=1, mix_new=1), frames=to_frames(QUERIES)
        )
        voices.build("mix-new", rows + 1)
        yield pb.BlendRequest(frames=to_frames(QUERIES))

    first, second = voices.retrieval.Blend(requests())
    assert first.frames == second.frames
    assert list(second.versions) == [1, 1]


def test_frames_are_answered_alike_in_whatever_batch_they_come(voices):
    weights = named(mix_a=0.5, mix_b=0.5)
    whole = array_of(mix(voices, weights).frames)
    one = array_of(mix(voices, weights, frames=QUERIES[17:18]).frames)
    assert np.array_equal(whole[17:18], one)


@pytest.mark.parametrize(
    "request_fields, code, field",
    [
        ({"voices": named(mix_a=-1)}, "INVALID_ARGUMENT", "voices[0].weight"),
        ({"voices": named(mix_a=0)}, "INVALID_ARGUMENT", "voices"),
        ({"voices": named(mix_a=1) * 17}, "INVALID_ARGUMENT", "voices"),
        (
            {"voices": named(mix_a=1), "speaker": "mix-a"},
            "INVALID_ARGUMENT",
            "speaker",
        ),
        (
            {"voices": named(mix_a=1, mix_wide=1)},
            "INVALID_ARGUMENT",
            "voices[1].speaker",
        ),
        ({"voices": named(mix_a=1, nobody=1)}, "NOT_FOUND", None),
    ],
)
def test_bad_voices_are_refused(voices, request_fields, code, field):
    with pytest.raises(grpc.RpcError) as caught:
        list(voices.retrieval.Blend(iter([pb.BlendRequest(**request_fields)])))
    assert caught.value.code().name == code
    if field:
        assert details_of(caught.value)["fields"] == [field]


def test_a_stream_of_one_speaker_takes_no_voices(voices):
    requests = [
        pb.BlendRequest(speaker="mix-a"),
        pb.BlendRequest(voices=named(mix_a=1)),
    ]
    with pytest.raises(grpc.RpcError) as caught:
        list(voices.retrieval.Blend(iter(requests)))
    assert details_of(caught.value)["fields"] == ["voices"]


def test_a_budget_lowers_every_voice(voices):
    params = pb.BlendParams(index_rate=1)
    params.search.nprobe = 30
    params.search.latency_budget.nanos = 1000
    many = np.tile(QUERIES, (40, 1))
    request = pb.BlendRequest(
        voices=named(mix_a=1, mix_b=1), params=params, frames=to_frames(many)
    )
    (response,) = voices.retrieval.Blend(iter([request]))
    assert response.degradation != pb.DEGRADATION_UNSPECIFIED
    assert np.isfinite(array_of(response.frames)).all()
