"""The command line, as a user would call it."""

import json
import os
import pty
import re
import subprocess

import numpy as np
import pytest

from conftest import BIN, exact


@pytest.fixture
def run(server, tmp_path):
    def call(*arguments, code=0, env=None):
        done = subprocess.run(
            [BIN / "timbre", *map(str, arguments)],
            capture_output=True, text=True, cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "TIMBRE_SERVER": f"127.0.0.1:{server.port}",
                **(env or {}),
            },
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    call.directory = tmp_path
    return call


def test_from_feature_files_to_a_blend_and_back(run, tmp_path):
    run("synth", "a/3_feature256", "--frames=6000", "--voice=1")
    run("synth", "b", "--frames=300", "--voice=2")
    built = run("build", "cli-alice", "a/3_feature256", "--label", "x=y")
    assert "version 1 (active): 6000 frames of 256" in built.stdout
    assert "cli-alice" in run("list").stdout
    shown = json.loads(run("show", "cli-alice", "--json").stdout)
    assert shown["versions"][0]["labels"] == {"x": "y"}
    nprobe = shown["versions"][0]["defaults"]["nprobe"]
    assert "x = y" in run("show", "cli-alice").stdout

    found = run(
        "search", "cli-alice", "b/000000.npy", "--k=5", "--nprobe=155",
        "--k_factor=100", "--recall", "--out=ids.npy,distances.npy",
    )
    assert "recall@5 against exact search: 1.0000" in found.stdout
    frames = np.concatenate(
        [np.load(f) for f in sorted((tmp_path / "a/3_feature256").iterdir())]
    )
    queries = np.load(tmp_path / "b/000000.npy")
    ids, distances = exact(frames, queries[:20], 5)
    assert (np.load(tmp_path / "ids.npy")[:20] == ids).mean() > 0.99
    np.testing.assert_allclose(
        np.load(tmp_path / "distances.npy")[:20], distances, rtol=1e-5
    )

    run("blend", "cli-alice", "b/000000.npy", "out.npy", "--index_rate=0")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), queries)
    mixed = run("blend", "cli-alice", "b/000000.npy", "out.npy")
    assert "index_rate 0.75" in mixed.stdout
    assert np.load(tmp_path / "out.npy").shape == queries.shape

    run("frames", "cli-alice", "back.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), frames)
    run("export", "cli-alice", "--format=ivf_flat")
    (exported,) = tmp_path.glob("*.index")
    assert exported.name == f"added_IVF155_Flat_nprobe_{nprobe}_cli-alice_v1.index"

    run("build", "cli-alice", "b", "--keep_inactive")
    assert "version 1 is active" in run("show", "cli-alice").stdout
    run("activate", "cli-alice", "2")
    run("delete", "cli-alice", "--version=1")
    run("delete", "cli-alice")
    run("show", "cli-alice", code=4)


def test_synthetic_features_are_the_same_for_the_same_seed(run, tmp_path):
    for name in ("x", "y"):
        run("synth", name, "--frames=1200", "--voice=7", "--dimension=768")
    x, y = (
        [f.read_bytes() for f in sorted((tmp_path / d).iterdir())]
        for d in ("x", "y")
    )
    assert x == y and len(x) == 3
    assert sum(len(np.load(f)) for f in (tmp_path / "x").iterdir()) == 1200


def test_version(run):
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run("--version").stdout)


def test_health(run):
    assert "SERVING" in run("health").stdout
    assert json.loads(run("health", "--json").stdout)["status"] == "SERVING"


def test_errors_say_what_was_wrong_and_what_to_do(run, tmp_path):
    gone = run("list", "--server=127.0.0.1:1", code=5)
    assert "is timbred running at 127.0.0.1:1?" in gone.stderr
    unknown = run("show", "nobody", code=4)
    assert "timbre list" in unknown.stderr
    assert "does not exist" in run("build", "x", "nowhere", code=4).stderr
    (tmp_path / "empty").mkdir()
    assert "no .npy" in run("build", "x", "empty", code=3).stderr
    (tmp_path / "bad.npy").write_bytes(b"not numpy")
    assert "no .npy file" in run("build", "x", "bad.npy", code=3).stderr
    np.save(tmp_path / "a.npy", np.zeros((5, 8), "f4"))
    np.save(tmp_path / "b.npy", np.zeros((5, 9), "f4"))
    mixed = run("build", "x", "a.npy", "b.npy", code=3)
    assert "dimension 9" in mixed.stderr
    assert run("show", "x", code=4)
    assert "Alice" in run("build", "Alice", "a.npy", code=3).stderr
    assert "no command frobnicate" in run("frobnicate", code=2).stderr
    run(code=2)
    run("build", code=2)


def test_a_build_that_meets_another_dimension_ends_at_once(run, tmp_path):
    run("synth", "a", "--frames=6000")
    run("synth", "b", "--frames=1000", "--dimension=768")
    for _ in range(5):
        mixed = run("build", "cli-mixed", "a", "b", code=3)
        assert "has dimension 768" in mixed.stderr
    run("show", "cli-mixed", code=4)
    run("delete", "cli-mixed", "--version=0", code=2)


def test_float64_and_float16_files_are_read(run, tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 8)).astype("f2")
    for i, dtype in enumerate(("f2", "f4", "f8")):
        np.save(tmp_path / "x.npy", x.astype(dtype))
        run("build", "cli-types", "x.npy")
        run("frames", "cli-types", "y.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), x)


def test_export_warns_of_metrics_that_rvc_does_not_know(run, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(8, dtype="f4"))
    run("build", "cli-cosine", "x.npy", "--metric=cosine")
    warned = run("export", "cli-cosine", "x.index")
    assert "RVC's formula" in warned.stderr


def test_a_terminal_gets_a_progress_bar(server, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(64, dtype="f4"))
    leader, follower = pty.openpty()
    subprocess.run(
        [BIN / "timbre", "build", "cli-bar", "x.npy",
         f"--server=127.0.0.1:{server.port}"],
        stderr=follower, cwd=tmp_path, check=True,
    )
    os.close(follower)
    assert b"%" in os.read(leader, 10_000)


@pytest.mark.parametrize("name", ["ü", "a\nb", "a b", "A", "../x"])
def test_names_that_no_speaker_has_are_refused_by_the_server(run, name):
    np.save(run.directory / "x.npy", np.eye(8, dtype="f4"))
    for command in (
        ("show", name),
        ("delete", name),
        ("activate", name, "1"),
        ("build", name, "x.npy"),
        ("search", name, "x.npy"),
        ("blend", name, "x.npy", "y.npy"),
        ("frames", name, "y.npy"),
        ("export", name, "y.index"),
    ):
        refused = run(*command, code=3)
        assert "speaker" in refused.stderr and "must be" in refused.stderr


def test_results_that_cannot_be_written_are_errors(run, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(8, dtype="f4"))
    run("build", "cli-full", "x.npy")
    for command in (
        ("blend", "cli-full", "x.npy", "/dev/full"),
        ("search", "cli-full", "x.npy", "--out=/dev/full,d.npy"),
        ("search", "cli-full", "x.npy", "--out=i.npy,/dev/full"),
        ("frames", "cli-full", "/dev/full"),
    ):
        assert "/dev/full" in run(*command, code=5).stderr
    assert "none/y.npy" in run(
        "blend", "cli-full", "x.npy", "none/y.npy", code=4
    ).stderr
    for out in ("ids.npy", "a,b,c", ",b"):
        # Said before anything is searched.
        refused = run("search", "nobody", "x.npy", f"--out={out}", code=3)
        assert "--out" in refused.stderr
    assert not list(tmp_path.glob("*.part"))


def test_synth_refuses_a_directory_that_holds_features(run, tmp_path):
    run("synth", "used", "--frames=1200")
    refused = run("synth", "used", "--frames=300", code=3)
    assert "one without .npy files" in refused.stderr
    assert len(list((tmp_path / "used").iterdir())) == 3
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("kept")
    run("synth", "other", "--frames=300")


def test_json_has_numbers_for_numbers(run, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(8, dtype="f4"))
    built = json.loads(run("build", "cli-json", "x.npy", "--json").stdout)
    assert (built["version"], built["frames"]) == (1, 8)
    assert built["bytes_on_disk"] > 0
    assert built["create_time"].startswith("20")
    shown = json.loads(run("show", "cli-json", "--json").stdout)
    assert shown["active_version"] == 1
    assert shown["versions"][0]["frames_received"] == 8
    listed = json.loads(run("list", "--json", "--prefix=cli-json").stdout)
    assert listed[0]["active_version"] == 1
    # The contract leaves them out of lists: none is not the same as unknown.
    assert "operating_points" in shown["versions"][0]
    assert "operating_points" not in listed[0]["versions"][0]
    health = json.loads(run("health", "--json").stdout)
    assert health["max_message_bytes"] == 64 << 20
    found = json.loads(run("search", "cli-json", "x.npy", "--json").stdout)
    assert found["version"] == 1


def test_an_export_is_named_after_what_it_holds(run, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(8, dtype="f4"))
    run("build", "cli-flat", "x.npy", "--index_factory=Flat")
    run("export", "cli-flat", "--format=ivf_flat")
    (exported,) = tmp_path.glob("*.index")
    assert exported.name == "added_IVF1_Flat_nprobe_1_cli-flat_v1.index"


def test_voices_are_mixed_by_name_and_weight(run, tmp_path):
    for voice in ("1", "2"):
        run("synth", f"v{voice}", "--frames=500", f"--voice={voice}")
        run("build", f"cli-mix{voice}", f"v{voice}")
        run("blend", f"cli-mix{voice}", "v1/000000.npy", f"{voice}.npy")
    mixed = run("blend", "cli-mix1=3,cli-mix2=1", "v1/000000.npy", "mix.npy")
    assert "version 1, 1," in mixed.stdout
    one, two, mix = (np.load(tmp_path / f"{n}.npy") for n in ("1", "2", "mix"))
    assert np.allclose(mix, 0.75 * one + 0.25 * two, atol=1e-4)
    refused = run("blend", "cli-mix1=3,cli-mix2", "v1/000000.npy", "x.npy",
                  code=3)
    assert "NAME=WEIGHT" in refused.stderr
