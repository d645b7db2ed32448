"""Where frames to be sent come from, and how they travel."""

from __future__ import annotations

import os
import pathlib
from typing import Any, Callable, Iterable, Iterator, Optional

import numpy as np

from timbre import _contract, _frames, _npy
from timbre._parameters import assign, check_choice
from timbre._wire import wrap
from timbre.errors import BadFrame, InvalidArgument

# One array, opened when its turn comes; and what to call it.
Source = tuple[str, Callable[[], Any]]


class FrameSource:
    """The frames of a build or of a tuning, in order.

    Attributes:
      count: their number; 0: not known before the end.
      repeatable: whether they can be sent again.
    """

    def __init__(self, frames: Any) -> None:
        self._sources: Optional[list[Source]] = None
        self._once: Optional[Iterable[Any]] = None
        if isinstance(frames, (str, os.PathLike)):
            self._sources = _files(frames)
        elif hasattr(frames, "shape"):
            self._sources = [("frames", lambda: frames)]
        elif isinstance(frames, (list, tuple)):
            self._sources = [
                source
                for i, part in enumerate(frames)
                for source in _part(part, f"frames[{i}]")
            ]
        elif isinstance(frames, Iterable):
            self._once = frames
        else:
            raise InvalidArgument(
                f"frames {type(frames).__name__}: an array, a path of a .npy"
                " file or of a directory of them, or several of these",
                field="frames",
                reason="INVALID_FIELD",
            )
        self.repeatable = self._sources is not None
        self.count = sum(
            (_shape_of(name, open_())[0] for name, open_ in self._sources or ())
        )

    def messages(self) -> Iterator[bytes]:
        """BuildRequests, serialized."""
        for rows in self.rows():
            yield wrap(b"", _contract.BuildRequest, rows)

    def rows(self) -> Iterator[np.ndarray]:
        """Pieces of what fits one message, checked."""
        for name, x in self._arrays():
            yield from _rows_of(name, x)

    def _arrays(self) -> Iterator[tuple[str, Any]]:
        if self._sources is not None:
            for name, open_ in self._sources:
                yield name, open_()
            return
        for i, x in enumerate(self._once or ()):
            yield f"frames[{i}]", x


def _shape_of(name: str, x: Any) -> Any:
    shape: Any = getattr(x, "shape", ())
    if len(shape) != 2 or shape[1] == 0:
        raise InvalidArgument(
            f"{name} has shape {tuple(shape)}: must be [frames, dimension]",
            field="frames",
            reason="INVALID_FIELD",
        )
    return shape


def _rows_of(name: str, x: Any) -> Iterator[np.ndarray]:
    """Checked pieces of one array."""
    shape = _shape_of(name, x)
    itemsize = 2 if "float16" in str(x.dtype) else 4
    step = max(1, _frames.MESSAGE_BYTES // (shape[1] * itemsize))
    for first in range(0, shape[0], step):
        batch = _frames.Batch(x[first : first + step], shape[1], name)
        if batch.bad is not None:
            raise BadFrame(
                f"{name}: frame {first + batch.bad[0]} holds NaN, infinity or"
                " a magnitude above 1e15",
                [first + int(row) for row in batch.bad],
            )
        yield batch.rows


def _part(part: Any, name: str) -> list[Source]:
    if isinstance(part, (str, os.PathLike)):
        return _files(part)
    return [(name, lambda: part)]


def _files(path: Any) -> list[Source]:
    """A .npy file, or those of a directory in the order of their names, as
    the training scripts of RVC read them. Hidden ones are none of them: a Mac
    leaves a ._0.npy beside 0.npy."""
    path = pathlib.Path(path)
    if not path.is_dir():
        return [_file(path)]
    found = visible(path, "*.npy")
    if not found:
        raise InvalidArgument(
            f"{path}: holds no .npy files",
            field="frames",
            reason="NO_FEATURE_FILES",
        )
    return [_file(file) for file in found]


def _file(path: pathlib.Path) -> Source:
    return str(path), lambda: _npy.open_frames(path)


def visible(directory: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    """What a shell finds, in the order of the names: nothing hidden."""
    return sorted(
        (
            file
            for file in directory.glob(pattern)
            if not file.name.startswith(".")
        ),
        key=lambda file: file.name,
    )


def options_message(speaker: str, count: int, options: dict[str, Any]) -> Any:
    """The BuildOptions for keyword arguments named as its fields."""
    message = _contract.BuildOptions(expected_frames=count)
    assign(message, "speaker", speaker)
    choices = {
        "metric": _contract.METRICS,
        "storage": _contract.ELEMENT_TYPES,
    }
    for name, value in options.items():
        if value is None:
            continue
        if name in choices:
            check_choice(name, value, choices[name])
            value = choices[name][value]
        if name == "labels":
            for key, text in value.items():
                message.labels[str(key)] = str(text)
        else:
            assign(message, name, value)
    return message
