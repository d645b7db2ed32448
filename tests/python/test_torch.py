"""Torch tensors, where torch is there."""

import numpy as np
import pytest
import timbre

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64]
)
def test_a_tensor_comes_back_as_what_it_was(voice, queries, dtype):
    x = torch.from_numpy(queries).to(dtype)[None]
    out = voice.blend(x, 0.75)
    assert out.dtype == dtype and out.shape == x.shape
    expected = voice.blend(x[0].float().numpy(), 0.75)
    assert np.allclose(out[0].float().numpy(), expected, rtol=1e-2, atol=5e-2)


def test_gradients_and_strides_do_not_disturb(voice, queries):
    x = torch.from_numpy(queries).T.contiguous().T.requires_grad_()
    out = voice.blend(x)
    assert not out.requires_grad
    assert np.array_equal(out.numpy(), voice.blend(queries))


def test_the_faiss_stand_in_gives_tensors(client, alice, queries):
    index = timbre.compat.faiss_index("alice", client)
    distances, ids = index.search(torch.from_numpy(queries), 8)
    assert distances.dtype == torch.float32 and ids.dtype == torch.int64
    assert np.array_equal(ids.numpy(), index.search(queries, 8)[1])


def test_integer_tensors_are_refused(voice):
    with pytest.raises(timbre.InvalidArgument, match="int64"):
        voice.blend(torch.zeros((1, voice.dimension), dtype=torch.int64))
