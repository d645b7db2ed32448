"""so-vits-svc's files become speakers; the comparison in Python."""

import pickle
import re

import numpy as np
import pytest
import timbre
from conftest import DIMENSION, exact, speech
from timbre import compare, importers

ROWS = {0: speech(300, DIMENSION, seed=41), 1: speech(200, DIMENSION, seed=42)}


@pytest.fixture
def pickled(tmp_path):
    faiss = pytest.importorskip("faiss")
    indices = {}
    for name, rows in ROWS.items():
        index = faiss.index_factory(DIMENSION, "IVF4,Flat")
        index.train(rows)
        index.add(rows)
        indices[name] = index
    path = tmp_path / "feature_and_index.pkl"
    path.write_bytes(pickle.dumps(indices))
    return path


def test_a_pickle_of_indices_becomes_a_speaker_each(
    server, client, pickled, capsys
):
    importers.main(
        ["so_vits", str(pickled), "--server", server.address,
         "--name", "1=so-vits-one", "--prefix", "model-"]
    )
    assert "'0' is speaker model-0, version 1: 300 frames" in capsys.readouterr().out
    assert np.array_equal(client.speaker("model-0").frames(), ROWS[0])
    assert np.array_equal(client.speaker("so-vits-one").frames(), ROWS[1])
    assert client.get_speaker("so-vits-one").active.labels == {
        "original_name": "1"
    }


def test_a_pickle_by_the_faiss_of_another_cpu_is_read(pickled):
    """faiss calls its classes after the module that the CPU had it load."""
    indices = pickle.loads(pickled.read_bytes())
    text, count = re.subn(
        rb"cfaiss\.\w+\n", b"cfaiss.swigfaiss_other\n", pickle.dumps(indices, 0)
    )
    assert count == 1  # the second one refers to it
    pickled.write_bytes(text)
    found = dict(importers.so_vits(str(pickled)))
    assert np.array_equal(found["0"], ROWS[0])
    assert np.array_equal(found["1"], ROWS[1])


@pytest.mark.parametrize(
    "content, message",
    [
        (pickle.dumps([1, 2]), "not a dictionary"),
        (pickle.dumps({0: print}), "builtins.print: neither an index nor"),
        (b"cfaiss\nwrite_index\n.", "faiss.write_index: neither an index"),
        (b"nonsense", "list.pkl: "),
        (b"", "list.pkl: Ran out of input"),
    ],
)
def test_what_is_no_pickle_of_indices_is_refused(tmp_path, content, message):
    pytest.importorskip("faiss")
    path = tmp_path / "list.pkl"
    path.write_bytes(content)
    with pytest.raises(timbre.InvalidArgument, match=message):
        list(importers.so_vits(str(path)))


@pytest.mark.parametrize(
    "factory, said",
    [
        ("L2norm,IVF4,Flat", "normalised .*lengths are lost"),
        ("PCA8,IVF4,Flat", "from 32 to 8 dimensions .* % of their spread"),
        ("IVF4,PQ8x4", "keeps codes"),
        ("IVF4,SQ8", "keeps codes"),
        ("IDMap,Flat", "ids of its own"),
    ],
)
def test_a_wrapper_never_hides_a_loss(tmp_path, factory, said):
    faiss = pytest.importorskip("faiss")
    index = faiss.index_factory(DIMENSION, factory)
    index.train(ROWS[0])
    if "IDMap" in factory:
        index.add_with_ids(ROWS[0], np.arange(300)[::-1].copy())
    else:
        index.add(ROWS[0])
    refused(tmp_path, index, said)


@pytest.mark.parametrize("factory", ["L2norm,IVF4,PQ8x4fs,RFlat", "OPQ8,IVF4,Flat", "HNSW8"])
def test_what_gives_its_frames_back_is_taken_over(tmp_path, factory):
    faiss = pytest.importorskip("faiss")
    index = faiss.index_factory(DIMENSION, factory)
    index.train(ROWS[0])
    index.add(ROWS[0])
    ((_, rows),) = importers.so_vits(written(tmp_path, index))
    assert np.allclose(rows, ROWS[0], 0, 1e-4)


@pytest.mark.parametrize(
    "metric, said", [("METRIC_L1", "neither L2"), ("METRIC_Linf", "neither L2"),
                     ("METRIC_INNER_PRODUCT", "inner products")]
)
def test_another_metric_is_refused(tmp_path, metric, said):
    faiss = pytest.importorskip("faiss")
    index = faiss.index_factory(DIMENSION, "Flat", getattr(faiss, metric))
    index.add(ROWS[0])
    refused(tmp_path, index, said)


def test_ids_that_are_no_row_numbers_are_refused(tmp_path):
    faiss = pytest.importorskip("faiss")
    index = faiss.index_factory(DIMENSION, "IVF4,Flat")
    index.train(ROWS[0])
    index.add_with_ids(ROWS[0], 2 * np.arange(300))
    refused(tmp_path, index, "ids are not 0, 1, 2")


def test_an_export_of_ones_own_comes_back_exactly_or_is_refused(
    client, tmp_path
):
    faiss = pytest.importorskip("faiss")
    for metric in ("l2", "cosine", "inner_product"):
        client.build("own", ROWS[0], metric=metric)
        client.export("own", tmp_path / "own.index", format="ivf_flat")
        index = faiss.read_index(str(tmp_path / "own.index"))
        if metric == "l2":
            ((_, rows),) = importers.so_vits(written(tmp_path, index))
            assert np.array_equal(rows, ROWS[0])
        else:
            refused(tmp_path, index, "inner products|normalised")


def written(tmp_path, index):
    path = tmp_path / "indices.pkl"
    path.write_bytes(pickle.dumps({"one": index}))
    return str(path)


def refused(tmp_path, index, said):
    with pytest.raises(timbre.InvalidArgument, match=said) as caught:
        list(importers.so_vits(written(tmp_path, index)))
    assert caught.value.reason == "FRAMES_LOST"


def test_hidden_tensors_are_skipped_and_foreign_ones_named(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch.ones(1, DIMENSION, 3), tmp_path / "0.soft.pt")
    (tmp_path / "._0.soft.pt").write_bytes(b"Mac OS X")
    ((_, frames),) = importers.soft(str(tmp_path))
    assert frames.shape == (3, DIMENSION)
    (tmp_path / "1.soft.pt").write_bytes(b"Mac OS X")
    with pytest.raises(timbre.InvalidArgument, match="1.soft.pt: is no tensor"):
        list(importers.soft(str(tmp_path)))


def test_a_comparison_names_what_an_index_has_lost(client, queries):
    faiss = pytest.importorskip("faiss")
    client.build("lossless", ROWS[0])
    index = faiss.index_factory(DIMENSION, "L2norm,Flat")
    index.add(ROWS[0])
    with pytest.warns(UserWarning, match=r"off by \d+ %\): its frames were norm"):
        compare.compare(client.speaker("lossless"), index, queries[:32])


def test_tensors_become_frames(client, tmp_path):
    torch = pytest.importorskip("torch")
    for i, part in enumerate(np.split(ROWS[0], 3)):
        torch.save(
            torch.from_numpy(part.T.copy())[None], tmp_path / f"{i}.soft.pt"
        )
    ((name, frames),) = importers.soft(str(tmp_path))
    assert name == tmp_path.name and np.array_equal(frames, ROWS[0])
    torch.save(
        {"Anna": {"cluster_centers_": ROWS[1]}}, tmp_path / "kmeans.pt"
    )
    found = importers.import_entries(
        client, importers.kmeans(str(tmp_path / "kmeans.pt"))
    )
    assert [(n, s) for n, s, _ in found] == [("Anna", "anna")]
    assert np.array_equal(client.speaker("anna").frames(), ROWS[1])


def test_a_number_is_no_name(client):
    with pytest.raises(timbre.InvalidArgument, match="--prefix"):
        list(importers.import_entries(client, iter([("0", ROWS[0])])))


def test_two_names_never_become_one_speaker(client):
    entries = iter([("A b", ROWS[0]), ("a-B", ROWS[1])])
    with pytest.raises(timbre.InvalidArgument, match="both be called a-b"):
        list(importers.import_entries(client, entries))


@pytest.mark.parametrize(
    "name, expected",
    [
        ("Alice", "alice"),
        ("..x", "x"),
        ("[Kit] v2", "kit-v2"),
        ("日本", "speaker-cf2abf0c"),
        ("a" * 63, "a" * 63),
        ("a" * 90, "a" * 54 + "-6b2ec791"),
        ("...", "speaker"),
    ],
)
def test_slugs_are_names_that_the_server_takes(name, expected):
    assert timbre.slug(name) == expected


def test_a_comparison_with_another_voice_is_warned_of(
    client, alice, queries
):
    index = timbre.compat.faiss_index("alice", client)
    rows = index.reconstruct_n(0, index.ntotal)
    assert compare.share_held(rows[::-1], rows.astype("f2")) == 1
    client.build("somebody", speech(300, DIMENSION, seed=77))
    with pytest.warns(UserWarning, match="the voice has 0 %"):
        compare.compare(client.speaker("somebody"), index, queries)


def test_exact_search_is_exact(alice, queries):
    distances, ids = compare.exact_search(alice, queries, 8)
    _, true_distances = exact(alice, queries)
    assert np.allclose(distances, true_distances)
    wide = alice[ids].astype("f8") - queries[:, None]
    assert np.allclose(np.square(wide).sum(axis=2), true_distances)


def test_the_comparison_tells_the_coarse_from_the_exact(
    client, queries, alice
):
    index = timbre.compat.faiss_index("alice", client)
    index.nprobe = 1
    local, remote = compare.compare(
        client.speaker("alice"), index, queries, nprobe=16, name="coarse"
    )
    assert local.name == "coarse" and local.recall <= remote.recall
    assert local.shift == pytest.approx(remote.shift, rel=0.2)
    assert local.block_us > 0 and remote.whole_us > 0
    assert "coarse" in compare.table([local, remote])
