"""Files that the command line is given: numpy's, and indices."""

import os
import subprocess
import time

import numpy as np
import pytest

from conftest import BIN, speech

ROWS = speech(1000, 64)


@pytest.fixture
def run(server, tmp_path):
    def call(*arguments, code=0):
        done = subprocess.run(
            ["prlimit", f"--as={4 << 30}", BIN / "timbre",
             *map(str, arguments)],
            capture_output=True, text=True, cwd=tmp_path, timeout=60,
            env={
                "PATH": os.environ["PATH"],
                "OMP_NUM_THREADS": "1",
                "TIMBRE_SERVER": f"127.0.0.1:{server.port}",
            },
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return call


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_numpy_writes_is_read(run, tmp_path, dtype, order):
    x = np.arange(40, dtype="f4").reshape(5, 8)
    for version in ((1, 0), (2, 0), (3, 0)):
        with open(tmp_path / "x.npy", "wb") as file:
            np.lib.format.write_array(
                file, np.asarray(x, dtype, order=order), version
            )
        run("build", "files-numpy", "x.npy")
        run("frames", "files-numpy", "y.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), x)


def test_hostile_shapes_are_refused_and_the_file_named(run, tmp_path):
    np.save(tmp_path / "good.npy", np.zeros((5, 8), "f4"))
    good = (tmp_path / "good.npy").read_bytes()
    for shape in (b"(9, 8)", b"(-5, 8)", b"(99999999999999999999, 8)",
                  b"(2305843009213693953, 8)"):
        # The header keeps its length.
        bad = good.replace(b"(5, 8), }" + b" " * (len(shape) - 6),
                           shape + b", }")
        (tmp_path / "bad.npy").write_bytes(bad)
        told = run("build", "files-hostile", "bad.npy", code=3).stderr
        assert "bad.npy: has shape " + shape.decode() in told


def test_numbers_that_are_none_are_named_by_file_and_frame(run, tmp_path):
    x = np.zeros((40_000, 256), "f2")  # more than a message
    x[33_333, 5] = np.nan
    (tmp_path / "d").mkdir()
    np.save(tmp_path / "d" / "0.npy", x[:9])
    np.save(tmp_path / "d" / "1.npy", x)
    for path in ("d", "d/1.npy"):
        told = run("build", "files-nan", path, code=3).stderr
        assert "d/1.npy: frame 33333 holds NaN, infinity" in told
    x = np.zeros((3, 8), "f8")
    x[1, 0] = 1e300
    np.save(tmp_path / "large.npy", x)
    told = run("build", "files-nan", "large.npy", code=3).stderr
    assert "large.npy: frame 1 holds" in told


def test_devices_are_no_features(run):
    told = run("build", "files-device", "/dev/zero", code=3).stderr
    assert "/dev/zero: is a device" in told


def test_an_option_without_its_value_takes_no_other(run):
    assert "--server= has no value" in run(
        "list", "--server=", "--timeout=3s", code=2).stderr
    assert "--timeout= has no value" in run(
        "list", "--timeout=", "--json", code=2).stderr


def test_a_build_of_nothing_says_what_is_missing(run):
    assert "give a path" in run("build", "files-none", code=3).stderr


def test_lost_output_is_no_success(run, server):
    done = subprocess.run(
        [BIN / "timbre", "health", f"--server=127.0.0.1:{server.port}"],
        stdout=open("/dev/full", "w"), stderr=subprocess.PIPE, text=True,
    )
    assert done.returncode == 1
    assert "standard output could not be written" in done.stderr


def test_leftovers_of_a_mac_are_skipped(run, tmp_path):
    (tmp_path / "mac").mkdir()
    for i in range(3):
        np.save(tmp_path / f"mac/{i}.npy", ROWS[i : i + 20])
        (tmp_path / f"mac/._{i}.npy").write_bytes(b"Mac OS X")
    (tmp_path / "mac/.DS_Store").write_bytes(b"Bud1")
    assert "60 frames" in run("build", "files-mac", "mac").stdout
    (tmp_path / "mac/3.npy").write_bytes(b"foreign")
    told = run("build", "files-mac", "mac", code=3).stderr
    assert "mac/3.npy: is no .npy file" in told


@pytest.fixture
def exported(run, tmp_path):
    """Exports of a voice."""

    def export(*options, format="ivf_flat", rows=ROWS):
        np.save(tmp_path / "rows.npy", rows)
        name = "files-" + "-".join(o.strip("-").replace("=", "-").lower()
                                   for o in (format.replace("_", "-"),
                                             *options)).replace(",", ".")
        run("build", name, "rows.npy", *options)
        run("export", name, "a.index", f"--format={format}")
        return tmp_path / "a.index"

    return export


@pytest.mark.parametrize("format", ["ivf_flat", "faiss"])
@pytest.mark.parametrize(
    "options",
    [(), ("--metric=inner_product",), ("--storage=float32",),
     ("--index_factory=Flat",), ("--index_factory=IVF16,Flat",),
     ("--index_factory=IVF16,PQ32x4fs,RFlat",)],
    ids=" ".join,
)
def test_an_own_export_comes_back_exactly(
    run, exported, tmp_path, format, options
):
    exported(*options, format=format)
    told = run("import", "files-back", "a.index").stderr
    assert not told
    run("frames", "files-back", "back.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), ROWS)


@pytest.mark.parametrize("format", ["ivf_flat", "faiss"])
def test_an_export_that_has_lost_lengths_is_refused(run, exported, format):
    exported("--metric=cosine", format=format)
    told = run("import", "files-lost", "a.index", code=3).stderr
    assert "L2 normalisation" in told and "% is lost" in told
    assert "timbre frames" in told
    run("show", "files-lost", code=4)


def test_a_damaged_index_explains_itself_at_once(run, exported, tmp_path):
    for format in ("ivf_flat", "faiss"):
        good = exported(format=format).read_bytes()
        # Numbers of the headers: dimension, rows, lists, metric; then all.
        places = [4, 5, 7, 8, 9, 12, 14, 15, 32, 33, 37, 41, 44, 90, 94, 97]
        for at in places:
            for value in (0x7F, 0xFF):
                bad = bytearray(good)
                bad[at] = value if bad[at] != value else 0x55
                (tmp_path / "bad.index").write_bytes(bad)
                start = time.monotonic()
                done = subprocess.run(
                    [BIN / "timbre", "import", "files-bad", "bad.index",
                     "--server=127.0.0.1:1", "--timeout=10ms"],
                    capture_output=True, text=True, cwd=tmp_path,
                )
                assert time.monotonic() - start < 10
                # 5: a number that changes nothing that it holds, such as
                # nprobe, or rounds a centroid; then there is no server.
                assert done.returncode in (3, 5), (at, done.stderr)
                if done.returncode == 3:
                    assert "bad.index: " in done.stderr
    for size in (0, 3, 50, 1000, len(good) - 1):
        (tmp_path / "cut.index").write_bytes(good[:size])
        assert "cut.index: is " in run(
            "import", "files-cut", "cut.index", code=3
        ).stderr
