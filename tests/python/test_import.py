"""Voices that workers have today: taken over, compared, given back.

faiss is Python's: what RVC and Applio write and read.
"""

import json
import os
import subprocess

import numpy as np
import pytest
import timbre
from conftest import BIN, DIMENSION, exact, speech

faiss = pytest.importorskip("faiss")

ROWS = speech(2000, DIMENSION, seed=31)
QUERIES = speech(200, DIMENSION, seed=32) + np.float32(0.0625)


@pytest.fixture
def run(server, tmp_path):
    def call(*arguments, code=0):
        done = subprocess.run(
            [BIN / "timbre", *map(str, arguments)],
            capture_output=True, text=True, cwd=tmp_path,
            env={**os.environ, "TIMBRE_SERVER": server.address},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return call


def written(path, factory, rows=ROWS, metric=faiss.METRIC_L2):
    index = faiss.index_factory(DIMENSION, factory, metric)
    index.train(rows)
    index.add(rows)
    faiss.write_index(index, str(path))
    return path


@pytest.mark.parametrize(
    "factory", ["IVF32,Flat", "Flat", "IVF32,PQ16x4fs,RFlat", "IVF8,SQfp16"]
)
def test_rows_of_an_index_keep_their_order(run, client, tmp_path, factory):
    path = written(tmp_path / "added.index", factory)
    run("import", "imported", path)
    atol = 5e-3 if "SQ" in factory else 0  # codes of residuals
    assert np.allclose(client.speaker("imported").frames(), ROWS, 0, atol)
    labels = client.get_speaker("imported").active.labels
    assert labels["imported_from"] == "added.index"


def test_an_inner_product_index_stays_one(run, client, tmp_path):
    path = written(
        tmp_path / "ip.index", "IVF8,Flat", metric=faiss.METRIC_INNER_PRODUCT
    )
    run("import", "imported-ip", path)
    assert client.speaker("imported-ip").info.metric == "inner_product"


def test_a_matrix_of_all_frames_is_taken_over(run, client, tmp_path):
    np.save(tmp_path / "total_fea.npy", ROWS)
    run("import", "imported-npy", tmp_path / "total_fea.npy")
    assert np.array_equal(client.speaker("imported-npy").frames(), ROWS)


def test_what_cannot_be_taken_over_is_explained(run, client, tmp_path):
    trained = faiss.index_factory(DIMENSION, "IVF8,Flat")
    trained.train(ROWS)
    faiss.write_index(trained, str(tmp_path / "trained.index"))
    ids = faiss.index_factory(DIMENSION, "IDMap,Flat")
    ids.add_with_ids(ROWS, np.arange(len(ROWS))[::-1].copy())
    faiss.write_index(ids, str(tmp_path / "ids.index"))
    own = faiss.index_factory(DIMENSION, "IVF8,Flat")
    own.train(ROWS)
    own.add_with_ids(ROWS, np.arange(len(ROWS)) * 2)
    faiss.write_index(own, str(tmp_path / "own.index"))
    whole = written(tmp_path / "whole.index", "IVF8,Flat").read_bytes()
    (tmp_path / "cut.index").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.index").write_text("hello")
    for name, said in (
        ("trained", "holds no frames"),
        ("ids", "ids of its own"),
        ("own", "ids are not 0, 1, 2"),
        ("cut", "is damaged"),
        ("text", "is no faiss index"),
    ):
        refused = run("import", "refused", tmp_path / f"{name}.index", code=3)
        assert said in refused.stderr
    assert "no such file" in run("import", "x", "none.index", code=4).stderr
    with pytest.raises(timbre.NotFound):
        client.get_speaker("refused")


@pytest.mark.parametrize(
    "factory, said",
    [
        ("L2norm,IVF8,Flat", "L2 normalisation stands before"),
        ("PCA16,IVF8,Flat", "PCA from"),
        ("PCA16,Flat", "% is lost"),
    ],
)
def test_frames_that_lost_something_are_refused(
    run, client, tmp_path, factory, said
):
    path = written(tmp_path / "lost.index", factory)
    assert said in run("import", "lost", path, code=3).stderr
    with pytest.raises(timbre.NotFound):
        client.get_speaker("lost")


@pytest.mark.parametrize("factory", ["IVF8,SQ8", "IVF8,PQ16x4", "PQ16x4fs"])
def test_codes_are_taken_over_with_the_size_of_the_difference(
    run, client, tmp_path, factory
):
    path = written(tmp_path / "coded.index", factory)
    told = run("import", "coded", path).stderr
    said = float(told.partition("about ")[2].partition(" %")[0])
    kept = client.speaker("coded").frames()
    off = 100 * np.mean(np.linalg.norm(kept - ROWS, axis=1)) / np.mean(
        np.linalg.norm(ROWS, axis=1)
    )
    assert off / 3 < said < off * 3


@pytest.mark.parametrize("metric", [faiss.METRIC_L1, faiss.METRIC_Linf])
def test_other_metrics_are_taken_over_where_that_is_said(
    run, client, tmp_path, metric
):
    path = written(tmp_path / "other.index", "Flat", metric=metric)
    assert "--metric=l2" in run("import", "other", path, code=3).stderr
    run("import", "other", path, "--metric=l2")
    assert np.array_equal(client.speaker("other").frames(), ROWS)


def test_an_exported_index_finds_what_the_server_finds(client, tmp_path):
    client.build("exported", ROWS, index_factory="IVF32,Flat")
    path = tmp_path / "added_IVF32_Flat_nprobe_1_exported_v2.index"
    client.export("exported", path, format="ivf_flat")
    index = faiss.read_index(str(path))
    assert np.array_equal(index.reconstruct_n(0, index.ntotal), ROWS)
    theirs, their_ids = index.search(QUERIES, 8)
    voice = client.speaker("exported")
    ours, our_ids = voice.search(QUERIES, 8, nprobe=index.nprobe)
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert np.mean(our_ids == their_ids) > 0.99


def test_a_round_trip_keeps_frames_and_ids(run, client, tmp_path):
    client.build("there", ROWS)
    client.export("there", tmp_path / "there.index", format="ivf_flat")
    run("import", "back", tmp_path / "there.index")
    assert np.array_equal(client.speaker("back").frames(), ROWS)


def test_compare_measures_recall_against_exact_search(run, client, tmp_path):
    path = written(tmp_path / "added.index", "IVF64,Flat")
    np.save(tmp_path / "queries.npy", QUERIES)
    run("import", "compared", path)
    done = run(
        "compare", "compared", path, "queries.npy", "--nprobe=1000",
        "--k_factor=100", "--json", "--html=page.html",
    )
    local, remote = json.loads(done.stdout)["contenders"]
    truth, distances = exact(ROWS, QUERIES)
    found, _ = faiss.read_index(str(path)).search(QUERIES, 8)
    recall = np.mean(found <= distances[:, -1:] * (1 + 1e-5))
    assert local["recall"] == pytest.approx(recall, abs=1e-6)
    assert local["blend_error"] > 0.001
    assert remote["recall"] == 1 and remote["blend_error"] < 1e-5
    assert remote["block_us_per_frame"] > 0
    page = (tmp_path / "page.html").read_text()
    assert "<svg" in page and "nprobe 1" in page and "http" not in page
