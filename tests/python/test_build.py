"""Builds from arrays and files, and the catalog."""

import asyncio
import threading

import numpy as np
import pytest
import timbre
from conftest import DIMENSION, speech

ROWS = speech(600, DIMENSION, seed=12)


def test_files_of_a_directory_are_read_in_the_order_of_their_names(
    client, tmp_path
):
    for name, part in zip(("b", "a", "c"), np.split(ROWS, 3)):
        np.save(tmp_path / f"{name}.npy", part)
    (tmp_path / "notes.txt").write_text("not features")
    client.build("dir", tmp_path)
    expected = np.concatenate([ROWS[200:400], ROWS[:200], ROWS[400:]])
    assert np.array_equal(client.speaker("dir").frames(), expected)


def test_lists_of_files_and_arrays_keep_their_order(client, tmp_path):
    np.save(tmp_path / "x.npy", ROWS[:100].astype("f2"))
    client.build("list", [ROWS[100:200], str(tmp_path / "x.npy")])
    expected = np.concatenate([ROWS[100:200], ROWS[:100]])
    assert np.array_equal(client.speaker("list").frames(), expected)


def test_an_iterable_is_read_once(client):
    parts = (ROWS[i : i + 100] for i in range(0, 600, 100))
    assert client.build("iter", parts).frames == 600


def test_progress_rises_to_the_end(client):
    seen = []
    version = client.build("progress", ROWS, progress=seen.append)
    assert seen and seen[-1].stage == "publishing"
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions) and version.active


def test_options_reach_the_server(client):
    version = client.build(
        "options", ROWS, metric="cosine", labels={"extractor": "contentvec"},
        keep_inactive=True, storage="float32", index_factory="IVF4,Flat",
    )
    assert version.metric == "cosine" and not version.active
    assert version.labels == {"extractor": "contentvec"}
    assert version.storage == "float32"
    assert version.index_factory == "IVF4,Flat"
    with pytest.raises(timbre.FailedPrecondition) as caught:
        client.speaker("options")
    assert caught.value.reason == "NO_ACTIVE_VERSION"
    client.activate_version("options", 1)
    assert client.speaker("options").version == 1


def test_the_same_request_id_is_built_once(client):
    first = client.build("twice", ROWS, request_id="job-1")
    assert client.build("twice", ROWS, request_id="job-1") == first


def test_bad_frames_name_file_and_row_and_leave_nothing(client, tmp_path):
    bad = ROWS.copy()
    bad[321, 0] = np.nan
    np.save(tmp_path / "bad.npy", bad)
    with pytest.raises(timbre.BadFrame, match="bad.npy: frame 321 holds"):
        client.build("bad", tmp_path)
    with pytest.raises(timbre.NotFound):
        client.get_speaker("bad")


@pytest.mark.parametrize(
    "frames", [np.zeros((3, 0), "f4"), np.zeros(5, "f4"), 7, ["a", 3]]
)
def test_what_is_not_frames_is_refused(client, frames):
    with pytest.raises((timbre.InvalidArgument, FileNotFoundError)):
        client.build("nothing", frames)


def test_unreadable_files_are_refused(client, tmp_path):
    with pytest.raises(timbre.InvalidArgument, match="holds no .npy"):
        client.build("empty", tmp_path)
    (tmp_path / "text.npy").write_text("hello")
    with pytest.raises(timbre.InvalidArgument, match="is no .npy file"):
        client.build("text", tmp_path)


def test_an_exception_in_progress_ends_the_build(client):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.build("stopped", ROWS, progress=stop)


def test_refusals_carry_field_and_reason(client):
    with pytest.raises(timbre.InvalidArgument) as caught:
        client.build("UPPER", ROWS)
    assert "speaker" in caught.value.field
    with pytest.raises(timbre.InvalidArgument, match="speaker"):
        client.speaker("nul\0byte")
    with pytest.raises(timbre.InvalidArgument) as caught:
        client.build("x", ROWS, index_factory="nonsense")
    assert caught.value.field and caught.value.reason
    with pytest.raises(timbre.InvalidArgument, match="32 dim"):
        client.build("dim", ROWS) and client.speaker("dim", dimension=768)
    with pytest.raises(LookupError):
        client.speaker("nobody")
    with pytest.raises(timbre.NotFound):
        client.speaker("dim", version=9)


def test_the_catalog(client, tmp_path):
    for name in ("cat-a", "cat-b"):
        client.build(name, ROWS)
    client.build("cat-a", ROWS[:50])
    listed = {s.speaker: s for s in client.list_speakers("cat-")}
    assert sorted(listed) == ["cat-a", "cat-b"]
    assert listed["cat-a"].active.version == 2
    assert [v.version for v in client.get_speaker("cat-a").versions] == [1, 2]
    with pytest.raises(timbre.FailedPrecondition):
        client.delete_version("cat-a", 2)
    client.activate_version("cat-a", 1)
    client.delete_version("cat-a", 2)
    client.export("cat-a", tmp_path / "out.npy", format="npy")
    assert np.array_equal(np.load(tmp_path / "out.npy"), ROWS)
    with pytest.raises(timbre.NotFound):
        client.export("nobody", tmp_path / "none.npy", format="npy")
    assert [p.name for p in tmp_path.iterdir()] == ["out.npy"]
    client.delete_speaker("cat-a")
    with pytest.raises(timbre.NotFound):
        client.get_speaker("cat-a")


def test_tokens_travel_as_bearer(server):
    """Nobody checks them yet: they must not disturb."""
    with timbre.Client(server.address, token="secret") as client:
        assert ("authorization", "Bearer secret") in (
            client._connection.metadata("x")
        )
        assert client.server_info().version


def test_threads_build_side_by_side(client):
    def build(i):
        client.build(f"side-{i}", ROWS)

    threads = [threading.Thread(target=build, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(client.list_speakers("side-"))) == 4


def test_builds_say_what_their_index_finds(client):
    frames = speech(6000, seed=21)
    version = client.build("measured", frames)
    points = version.operating_points
    assert [p.recall for p in points] == sorted(p.recall for p in points)
    assert version.default_nprobe in [p.nprobe for p in points]


def test_tune_chooses_on_the_queries_of_a_worker(client):
    client.build("tuned", speech(6000, seed=22))
    queries = [speech(200, seed=23), speech(100, seed=24)]
    tuning = client.tune("tuned", queries, target_recall=0.8, apply=True)
    assert tuning.frames == 300 and tuning.version == 1
    assert tuning.chosen.recall >= 0.8
    assert tuning.exact.recall == 1 and tuning.one_list is not None
    (version,) = client.get_speaker("tuned").versions
    assert version.operating_points == tuning.operating_points
    assert version.default_nprobe == tuning.chosen.nprobe
    _, _, info = client.speaker("tuned").search(queries[0], info=True)
    assert info.nprobe == tuning.chosen.nprobe


def test_tune_refuses_bad_queries(client):
    client.build("picky", speech(100, seed=25))
    bad = speech(50, seed=26)
    bad[7, 3] = np.nan
    with pytest.raises(timbre.BadFrame):
        client.tune("picky", bad)
    with pytest.raises(timbre.InvalidArgument) as caught:
        client.tune("picky", speech(5, seed=27), k=2000)
    assert caught.value.field == "k"
    with pytest.raises(timbre.NotFound):
        client.tune("nobody", speech(5, seed=27))


def flip(path):
    """Another byte in the middle, in place."""
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    with open(path, "r+b") as file:
        file.write(contents)


def test_verify_names_what_is_damaged(new_server):
    server = new_server()
    with timbre.Client(server.address) as own:
        assert list(own.verify()) == []
        for name in ("alice", "bob"):
            own.build(name, speech(300, seed=31))
        found = list(own.verify())
        assert [(v.speaker, v.version) for v in found] == [
            ("alice", 1),
            ("bob", 1),
        ]
        assert all(v.whole for v in found)
        assert found[-1].bytes_done == found[-1].bytes_total > 0
        flip(server.directory / "data/speakers/bob/1/total_fea.npy")
        (alice,) = own.verify("alice")
        (bob,) = own.verify("bob")
        assert alice.whole and not bob.whole
        assert "total_fea.npy" in bob.damage
        with pytest.raises(timbre.DataLoss):
            own.speaker("bob").search(speech(3, seed=1))
        with pytest.raises(timbre.NotFound):
            next(own.verify("nobody"))
        # Whoever has seen enough goes.
        for _ in own.verify():
            break

    async def awaited():
        async with timbre.AsyncClient(server.address) as own:
            found = [v async for v in own.verify()]
            assert [v.whole for v in found] == [True, False]
            with pytest.raises(timbre.NotFound):
                async for _ in own.verify("nobody"):
                    pass
            async for _ in own.verify():
                break

    asyncio.run(awaited())
