"""Files of features: what numpy writes is read, anything else is refused in
the same words as the command line's."""

import struct

import numpy as np
import pytest
import timbre
from conftest import DIMENSION, speech
from timbre._build import FrameSource
from timbre._npy import open_frames

ROWS = speech(50, DIMENSION, seed=51)
MAC = struct.pack(">II16sH", 0x51607, 0x20000, b"Mac OS X        ", 2)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "=f4", "<f2", ">f8", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_what_numpy_writes_is_read(tmp_path, dtype, order, version):
    path = tmp_path / "x.npy"
    with open(path, "wb") as file:
        np.lib.format.write_array(
            file, np.asarray(ROWS, dtype, order=order), version
        )
    assert np.array_equal(open_frames(path), ROWS.astype(dtype))
    (rows,) = FrameSource(path).rows()
    assert np.array_equal(rows, ROWS.astype(dtype).astype("f4"))


def test_a_native_type_and_no_frames_are_read(tmp_path):
    path = tmp_path / "x.npy"
    write(path, "{'descr': '=f4', 'fortran_order': False, 'shape': (50, 32)}")
    with open(path, "ab") as file:
        file.write(ROWS.tobytes())
    assert np.array_equal(open_frames(path), ROWS)
    np.save(path, ROWS[:0])
    assert open_frames(path).shape == (0, DIMENSION)


def write(path, header, version=b"\1\0", length=None):
    text = header.encode("latin-1")
    size = struct.pack("<H", len(text) if length is None else length)
    path.write_bytes(b"\x93NUMPY" + version + size + text)


def described(descr="'<f4'", order="False", shape="(3, 4)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}"


@pytest.mark.parametrize(
    "header, said",
    [
        (described(shape="(99999999999999, 4)"), "but ends in row 0"),
        (described(shape=f"({10**30}, 4)"), "which no array has"),
        (described(shape="(-1, 4)"), "which no array has"),
        (described(shape="(True, 4)"), "which no array has"),
        (described(shape="(3, 4, 5)"), r"expected \[frames, dimension\]"),
        (described(shape="()"), r"expected \[frames, dimension\]"),
        (described(shape="7"), r"expected \[frames, dimension\]"),
        (described(shape="(3, 0)"), "has dimension 0; expected 1 to 65536"),
        (described(shape="(3, 70000)"), "has dimension 70000"),
        (described(descr="'<i4'"), "holds '<i4'; expected float16, float32"),
        (described(descr="'|O'"), "holds '|O'"),
        (described(descr="[('a', '<f4')]"), "expected float16, float32"),
        (described(order="7"), "a header that is none of numpy's"),
        ("{" * 5000, "a header that is none of numpy's"),
        ("[1, 2]", "a header that is none of numpy's"),
        ("7", "a header that is none of numpy's"),
        ("{'descr': print}", "a header that is none of numpy's"),
    ],
)
def test_a_hostile_header_is_refused(client, tmp_path, header, said):
    path = tmp_path / "x.npy"
    write(path, header)
    with pytest.raises(timbre.InvalidArgument, match=said) as caught:
        client.build("hostile", path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.reason == "BAD_NPY_FILE"


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, ROWS)
    whole = path.read_bytes()
    for size in (0, 5, 8, 9, 10, 60, 128, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(timbre.InvalidArgument):
            open_frames(path)
    write(path, described(), length=60_001)
    with pytest.raises(timbre.InvalidArgument, match="ends in its header"):
        open_frames(path)
    write(path, described(), version=b"\4\0")
    with pytest.raises(timbre.InvalidArgument, match="version 4.0; expected"):
        open_frames(path)


def test_hidden_names_are_skipped_and_others_named(client, tmp_path):
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", ROWS)
        (tmp_path / f"._{i}.npy").write_bytes(MAC + bytes(4070))
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "notes.txt").write_text("kept beside the features")
    assert client.build("from-a-mac", tmp_path).frames == 3 * len(ROWS)
    (tmp_path / "foreign.npy").write_text("hello")
    with pytest.raises(timbre.InvalidArgument, match="foreign.npy: is no .npy"):
        client.build("from-a-mac", tmp_path)


def test_hidden_names_alone_are_no_features(client, tmp_path):
    (tmp_path / "._0.npy").write_bytes(MAC)
    with pytest.raises(timbre.InvalidArgument, match="holds no .npy files"):
        client.build("hidden", tmp_path)
