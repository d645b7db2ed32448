"""Takes over voices that only Python can read: so-vits-svc's.

    python -m timbre.importers so_vits logs/44k/feature_and_index.pkl
    python -m timbre.importers kmeans logs/44k/kmeans_10000.pt
    python -m timbre.importers soft dataset/44k/alice

needs `pip install timbre[importers]` (faiss-cpu, torch). Each entry becomes one
speaker, called by a slug of its name (so-vits-svc's are numbers: they need a --prefix),
with the name itself in the label `original_name`; `--name old=new` chooses
another.

Unpickling runs whatever code is in the file. It happens here, on your own
machine, never in the server: open only files that you trust.
"""

from __future__ import annotations

import argparse
import pathlib
import pickle
from typing import Any, Iterator, Mapping, Optional, Sequence

import numpy as np

from timbre._names import slug
from timbre.client import Client
from timbre.errors import Error, InvalidArgument
from timbre.results import Version

# Original name, frames [n, dimension].
Entry = tuple[str, np.ndarray]


def so_vits(path: str) -> Iterator[Entry]:
    """A feature_and_index.pkl: {speaker number: faiss index}. Rows in the
    index's order."""
    with open(path, "rb") as file:
        found = pickle.load(file)
    if not isinstance(found, Mapping):
        raise InvalidArgument(
            f"{path}: holds {type(found).__name__}, not a dictionary of"
            " indices",
            field="path",
            reason="NOT_SO_VITS",
        )
    for name, index in found.items():
        if index.ntotal == 0:
            raise InvalidArgument(
                f"{path}: the index of {name} holds no frames",
                field="path",
                reason="NO_FRAMES_IN_INDEX",
            )
        yield str(name), index.reconstruct_n(0, index.ntotal)


def kmeans(path: str) -> Iterator[Entry]:
    """A kmeans_10000.pt: {speaker: {"cluster_centers_": [n, dimension]}}. The
    centres become the stored frames."""
    import torch

    found = torch.load(path, map_location="cpu", weights_only=False)
    for name, model in found.items():
        yield str(name), np.asarray(model["cluster_centers_"], np.float32)


def soft(path: str) -> Iterator[Entry]:
    """A directory of *.soft.pt, [1, dimension, frames] each, in the order of
    their names: one speaker, called like the directory."""
    import torch

    directory = pathlib.Path(path)
    files = sorted(directory.glob("*.soft.pt"), key=lambda file: file.name)
    if not files:
        raise InvalidArgument(
            f"{path}: holds no *.soft.pt", field="path", reason="NO_FEATURES"
        )
    parts = [
        torch.load(file, map_location="cpu", weights_only=True)[0]
        .float()
        .numpy()
        .T
        for file in files
    ]
    yield directory.resolve().name, np.concatenate(parts)


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
    parser.add_argument("--server", default="", help="HOST:PORT")
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
