"""Takes over voices that only Python can read: so-vits-svc's.

    python -m timbre.importers so_vits logs/44k/feature_and_index.pkl
    python -m timbre.importers kmeans logs/44k/kmeans_10000.pt
    python -m timbre.importers soft dataset/44k/alice

needs `pip install timbre[importers]` (faiss-cpu, torch). Each entry becomes one
speaker, called by a slug of its name (so-vits-svc's are numbers: they need a --prefix),
with the name itself in the label `original_name`; `--name old=new` chooses
another.

Files are read here, on your own machine, never in the server. Of a pickle of
indices nothing but indices, arrays and plain values is accepted; but kmeans files
are unpickled as they are, which runs whatever code is in them, and a damaged index
can crash faiss: open only files that you trust.
"""

from __future__ import annotations

import argparse
import pathlib
import pickle
from typing import Any, Iterator, Mapping, Optional, Sequence

import numpy as np

from timbre._build import visible
from timbre._names import slug
from timbre._wrappers import loss_of
from timbre.client import Client
from timbre.errors import Error, InvalidArgument
from timbre.results import Version

# Original name, frames [n, dimension].
Entry = tuple[str, np.ndarray]


# What pickles of arrays and plain objects are made with.
_PLAIN: dict[str, set[str]] = {
    "_codecs": {"encode"},
    "collections": {"OrderedDict"},
    "numpy": {"dtype", "ndarray"},
    **dict.fromkeys(
        ("builtins", "__builtin__"),
        {"bytearray", "complex", "frozenset", "object", "set"},
    ),
    **dict.fromkeys(("copyreg", "copy_reg"), {"_reconstructor"}),
    **dict.fromkeys(
        ("numpy.core.multiarray", "numpy._core.multiarray"),
        {"_reconstruct", "scalar"},
    ),
    **dict.fromkeys(
        ("numpy.core.numeric", "numpy._core.numeric"), {"_frombuffer"}
    ),
}


class _IndexUnpickler(pickle.Unpickler):
    """Reads indices that another machine's faiss has pickled: their classes are
    called after the module for that machine's CPU, faiss.swigfaiss_avx2 say,
    which is not here or not the one in use."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "faiss":
            import faiss

            found = getattr(faiss, name, None)
            if isinstance(found, type) and issubclass(found, faiss.Index):
                return found
        elif name in _PLAIN.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(
            f"holds {module}.{name}: neither an index nor an array"
        )


def so_vits(path: str) -> Iterator[Entry]:
    """A feature_and_index.pkl: {speaker number: faiss index}. Rows in the
    index's order: of more than 200,000 frames so-vits-svc has kept 10,000
    centres, which `soft` does not need."""
    with open(path, "rb") as file:
        try:
            found = _IndexUnpickler(file).load()
        except ImportError:
            raise
        except Exception as error:  # pickle documents no end of them
            raise InvalidArgument(
                f"{path}: {error}", field="path", reason="NOT_SO_VITS"
            ) from None
    if not isinstance(found, Mapping):
        raise InvalidArgument(
            f"{path}: holds {type(found).__name__}, not a dictionary of"
            " indices",
            field="path",
            reason="NOT_SO_VITS",
        )
    for name, index in found.items():
        if not hasattr(index, "ntotal"):
            raise InvalidArgument(
                f"{path}: {name} is {type(index).__name__}, not an index",
                field="path",
                reason="NOT_SO_VITS",
            )
        if index.ntotal == 0:
            raise InvalidArgument(
                f"{path}: the index of {name} holds no frames",
                field="path",
                reason="NO_FRAMES_IN_INDEX",
            )
        _require_frames(f"{path}: the index of {name}", index)
        yield str(name), index.reconstruct_n(0, index.ntotal)


def _require_frames(which: str, index: Any) -> None:
    """Refuses what would be imported as other frames, or be searched by
    another metric."""
    lost = loss_of(index)
    if not lost and index.metric_type != 1:
        lost = "it is of inner products, and would become one of distances"
    if lost:
        raise InvalidArgument(
            f"{which} is not taken over: {lost}. Build from the features"
            " themselves (`soft`)",
            field="path",
            reason="FRAMES_LOST",
        )


def kmeans(path: str) -> Iterator[Entry]:
    """A kmeans_10000.pt: {speaker: {"cluster_centers_": [n, dimension]}}. The
    centres become the stored frames; so-vits-svc took the nearest one, k=1."""
    import torch

    found = torch.load(path, map_location="cpu", weights_only=False)
    for name, model in found.items():
        yield str(name), np.asarray(model["cluster_centers_"], np.float32)


def soft(path: str) -> Iterator[Entry]:
    """A directory of *.soft.pt, [1, dimension, frames] each, in the order of
    their names: one speaker, called like the directory."""
    import torch

    directory = pathlib.Path(path)
    files = visible(directory, "*.soft.pt")
    if not files:
        raise InvalidArgument(
            f"{path}: holds no *.soft.pt", field="path", reason="NO_FEATURES"
        )
    parts = [_soft_frames(torch, file) for file in files]
    yield directory.resolve().name, np.concatenate(parts)


def _soft_frames(torch: Any, file: pathlib.Path) -> np.ndarray:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
        frames: np.ndarray = found[0].float().numpy().T
    except Exception as error:  # torch documents none
        raise InvalidArgument(
            f"{file}: is no tensor [1, dimension, frames] ({error})",
            field="path",
            reason="NOT_SOFT",
        ) from None
    return frames


_KINDS = {"so_vits": so_vits, "kmeans": kmeans, "soft": soft}


def import_entries(
    client: Client,
    entries: Iterator[Entry],
    names: Optional[Mapping[str, str]] = None,
    prefix: str = "",
    **options: Any,
) -> Iterator[tuple[str, str, Version]]:
    """Builds one speaker per entry; yields original name, speaker, version.

    Args:
      names: speakers for original names; else `slug` of prefix and name.
      options: as in Client.build.

    Raises:
      InvalidArgument: two names come to the same speaker; nothing was built of
        the second.
    """
    used: dict[str, str] = {}
    common = options.pop("labels", None) or {}
    for name, frames in entries:
        speaker = (names or {}).get(name) or slug(prefix + name)
        if speaker.isdigit():
            raise InvalidArgument(
                f"{name!r} is a number, which another model has too: choose"
                f" with --name {name}=... or --prefix",
                field="name",
                reason="NUMBER_AS_NAME",
            )
        if speaker in used:
            raise InvalidArgument(
                f"{name!r} and {used[speaker]!r} would both be called"
                f" {speaker}: choose with --name {name}=...",
                field="name",
                reason="SAME_NAME",
            )
        used[speaker] = name
        labels = {**common, "original_name": name}
        yield name, speaker, client.build(
            speaker, np.ascontiguousarray(frames), labels=labels, **options
        )


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m timbre.importers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=sorted(_KINDS))
    parser.add_argument("path")
    parser.add_argument("--server", help="HOST:PORT")
    parser.add_argument(
        "--name", action="append", default=[], metavar="OLD=NEW"
    )
    parser.add_argument(
        "--prefix", default="", help="of the names, such as my-model-"
    )
    given = parser.parse_args(arguments)
    names = {}
    for pair in given.name:
        old, equals, new = pair.partition("=")
        if not equals:
            parser.error(f"--name {pair}: must be OLD=NEW")
        names[old] = new
    try:
        with Client(given.server) as client:
            for name, speaker, version in import_entries(
                client, _KINDS[given.kind](given.path), names, given.prefix
            ):
                print(
                    f"{name!r} is speaker {speaker}, version"
                    f" {version.version}: {version.frames} frames of"
                    f" {version.dimension}"
                )
    except ImportError as error:
        parser.exit(3, f"{error}: pip install timbre[importers]\n")
    except (Error, OSError, pickle.UnpicklingError) as error:
        parser.exit(3, f"timbre.importers: {error}\n")


if __name__ == "__main__":
    main()
