"""The Catalog service."""

import grpc
import numpy as np
import pytest

from conftest import array_of, details_of, exact, pb, speech


def test_lists_page_by_page(new_server):
    server = new_server()
    names = sorted(f"p{i}" for i in range(25)) + ["q"]
    for name in names:
        server.build(name, speech(5))
    seen, token = [], ""
    while True:
        page = server.catalog.ListSpeakers(
            pb.ListSpeakersRequest(page_size=10, page_token=token, prefix="p")
        )
        assert len(page.speakers) <= 10
        seen += [s.speaker for s in page.speakers]
        token = page.next_page_token
        if not token:
            break
    assert seen == names[:-1]
    everything = server.catalog.ListSpeakers(pb.ListSpeakersRequest())
    assert [s.speaker for s in everything.speakers] == names
    assert all(len(s.versions) == 1 for s in everything.speakers)


def test_versions_roll_back_and_forward(server):
    for seed in range(3):
        server.build("roll", speech(50, seed=seed))
    server.build("roll", speech(50, seed=3), keep_inactive=True)
    info = server.catalog.GetSpeaker(pb.GetSpeakerRequest(speaker="roll"))
    assert info.active_version == 3
    assert [v.active for v in info.versions] == [False, False, True, False]
    info = server.catalog.ActivateVersion(
        pb.ActivateVersionRequest(speaker="roll", version=1)
    )
    assert info.active_version == 1
    assert server.search("roll", speech(1)).version == 1
    with pytest.raises(grpc.RpcError) as error:
        server.catalog.DeleteVersion(
            pb.DeleteVersionRequest(speaker="roll", version=1)
        )
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert details_of(error.value)["reason"] == "VERSION_ACTIVE"
    info = server.catalog.DeleteVersion(
        pb.DeleteVersionRequest(speaker="roll", version=2)
    )
    assert [v.version for v in info.versions] == [1, 3, 4]
    server.catalog.DeleteSpeaker(pb.DeleteSpeakerRequest(speaker="roll"))
    assert server.versions("roll") == []
    version, _ = server.build("roll", speech(5))
    assert version.version == 5


def test_keep_versions_deletes_old_inactive_ones(new_server):
    server = new_server("--keep_versions=2")
    for _ in range(4):
        server.build("kept", speech(5))
    assert server.versions("kept") == [3, 4]


def test_a_voice_without_an_active_version(server):
    server.build("inactive", speech(20), keep_inactive=True)
    with pytest.raises(grpc.RpcError) as error:
        server.search("inactive", speech(1))
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert details_of(error.value)["reason"] == "NO_ACTIVE_VERSION"
    assert server.search("inactive", speech(1), version=1).version == 1


def read(server, **fields):
    responses = list(server.catalog.ReadFrames(pb.ReadFramesRequest(**fields)))
    assert all(r.ByteSize() <= 1 << 20 for r in responses)
    if not responses:
        return np.zeros((0, 0))
    return np.concatenate([array_of(r.frames) for r in responses])


def test_frames_come_back_in_id_order_or_as_listed(server):
    frames = speech(9000, 64)
    server.build("read", frames)
    np.testing.assert_array_equal(read(server, speaker="read"), frames)
    np.testing.assert_array_equal(
        read(server, speaker="read", first_id=8990), frames[8990:]
    )
    np.testing.assert_array_equal(
        read(server, speaker="read", first_id=5, count=3), frames[5:8]
    )
    ids = [7, 0, 8999, 7]
    single = read(
        server, speaker="read", ids=ids, element_type=pb.ELEMENT_TYPE_FLOAT32
    )
    np.testing.assert_array_equal(single, frames[ids])
    assert read(server, speaker="read", first_id=9000).size == 0


def export(server, path, **fields):
    with open(path, "wb") as file:
        for response in server.catalog.Export(pb.ExportRequest(**fields)):
            file.write(response.chunk)
    return str(path)


def test_exported_frames_are_a_numpy_file(server, tmp_path):
    frames = speech(300)
    server.build("npy", frames)
    path = export(
        server, tmp_path / "f.npy", speaker="npy",
        format=pb.EXPORT_FORMAT_NPY,
    )
    np.testing.assert_array_equal(np.load(path, mmap_mode="r"), frames)


def test_exported_indices_search_in_faiss_as_rvc_does(server, tmp_path):
    faiss = pytest.importorskip("faiss", reason="Python's faiss is not here")
    frames = speech(5000)
    queries = speech(50, seed=5)
    server.build("export", frames)
    built = faiss.read_index(
        export(server, tmp_path / "a.index", speaker="export")
    )
    assert built.ntotal == 5000
    flat = faiss.read_index(
        export(
            server, tmp_path / "b.index", speaker="export",
            format=pb.EXPORT_FORMAT_IVF_FLAT,
        )
    )
    assert flat.nprobe == 16
    np.testing.assert_array_equal(flat.reconstruct_n(0, flat.ntotal), frames)
    flat.nprobe = flat.nlist
    _, ids = flat.search(queries, 8)
    true_ids, _ = exact(frames, queries)
    assert (ids == true_ids).mean() > 0.99


def exported(server, speaker):
    request = pb.ExportRequest(speaker=speaker)
    return b"".join(r.chunk for r in server.catalog.Export(request))


def damage(path, size=None):
    """Flips a byte in the middle, or cuts the file."""
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    # In place: a server that has it open sees it.
    with open(path, "r+b") as file:
        file.write(contents)
        if size is not None:
            file.truncate(size)


def test_a_flat_voice_is_exported_from_its_frames(server):
    server.build("flat-export", speech(3000, 64), index_factory="Flat")
    whole = exported(server, "flat-export")
    path = server.directory / "data/speakers/flat-export/1/added.index"
    assert whole == path.read_bytes()
    damage(path)
    assert exported(server, "flat-export") == whole


@pytest.mark.parametrize("factory", ["IVF8,Flat", "IVF8,PQ32x4fs,RFlat"])
@pytest.mark.parametrize("size", [None, 3000])
def test_a_stored_index_that_was_damaged_is_not_exported(
    server, factory, size
):
    speaker = f"damaged-{factory[5:7].lower()}-{size or 'whole'}"
    server.build(speaker, speech(3000, 64), index_factory=factory)
    damage(
        server.directory / f"data/speakers/{speaker}/1/added.index", size
    )
    with pytest.raises(grpc.RpcError) as error:
        exported(server, speaker)
    assert error.value.code() == grpc.StatusCode.DATA_LOSS
    assert "added.index" in error.value.details()
    # What is in memory is as it was.
    server.search(speaker, speech(3, 64))


def test_forged_page_tokens(server):
    for token in ("x", "AAAA", "\0", "a" * 5000):
        with pytest.raises(grpc.RpcError) as caught:
            server.catalog.ListSpeakers(
                pb.ListSpeakersRequest(page_token=token)
            )
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert details_of(caught.value)["fields"] == ["page_token"]


def test_a_page_token_belongs_to_its_prefix(server):
    for name in ("token-a", "token-b"):
        server.build(name, speech(5))
    page = server.catalog.ListSpeakers(
        pb.ListSpeakersRequest(prefix="token-", page_size=1)
    )
    assert page.next_page_token
    with pytest.raises(grpc.RpcError) as caught:
        server.catalog.ListSpeakers(
            pb.ListSpeakersRequest(
                prefix="token", page_token=page.next_page_token
            )
        )
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details_of(caught.value)["fields"] == ["page_token"]
