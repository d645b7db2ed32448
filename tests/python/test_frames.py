"""Arrays and tensors on their way to the wire and back."""

import warnings

import numpy as np
import pytest
import timbre
from timbre._frames import Batch


def test_a_batch_of_any_leading_shape_comes_back_in_it():
    x = np.arange(24, dtype="f4").reshape(1, 3, 8)
    batch = Batch(x, 8)
    assert batch.rows.shape == (3, 8)
    assert np.array_equal(batch.restore(batch.rows), x)


def test_non_contiguous_arrays_are_sent_in_c_order():
    x = np.asfortranarray(np.random.default_rng(0).random((5, 8), "f4"))
    assert Batch(x, 8).rows.flags.c_contiguous
    assert np.array_equal(Batch(x[::2], 8).rows, x[::2])


@pytest.mark.parametrize(
    "dtype, wire", [("f2", "f2"), ("f4", "f4"), ("f8", "f4"), (">f4", "f4")]
)
def test_the_wire_has_single_or_half_precision(dtype, wire):
    x = np.ones((2, 4), dtype)
    batch = Batch(x, 4)
    assert batch.rows.dtype == np.dtype(wire)
    assert batch.restore(batch.rows).dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_rows_are_found(dtype, bad):
    x = np.zeros((6, 4), dtype)
    x[2, 3] = bad
    x[5, 0] = bad
    assert Batch(x, 4).bad.tolist() == [2, 5]
    assert Batch(x[:2], 4).bad is None


def test_magnitudes_above_the_limit_are_bad():
    x = np.array([[1e15], [-1e15], [1.1e15], [-2e15], [1e300]], "f8")
    assert Batch(x, 1).bad.tolist() == [2, 3, 4]


@pytest.mark.parametrize("value", [1e30, 1e300, np.nan])
def test_what_overflows_is_found_without_a_warning(value):
    x = np.ones((40, 256), "f8" if value > 1e38 else "f4")
    x[37] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Batch(x, 256).bad.tolist() == [37]


def test_many_small_numbers_are_good():
    assert Batch(np.full((100, 256), 1e14, "f4"), 256).bad is None


def test_the_largest_half_is_good():
    assert Batch(np.full((1, 2), 65504, "f2"), 2).bad is None


@pytest.mark.parametrize(
    "x", [np.zeros((3, 5), "f4"), np.zeros((), "f4"), np.zeros(0, "f4")]
)
def test_a_wrong_dimension_names_shape_and_dimension(x):
    with pytest.raises(timbre.InvalidArgument, match="must be 4") as caught:
        Batch(x, 4)
    assert caught.value.field == "x"


def test_integers_are_refused():
    with pytest.raises(timbre.InvalidArgument, match="int64"):
        Batch(np.zeros((2, 4), "i8"), 4)


def test_lists_of_numbers_are_taken():
    assert Batch([[1.0, 2.0]], 2).rows.shape == (1, 2)
