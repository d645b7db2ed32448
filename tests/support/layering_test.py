"""Reads every #include, and every type that is declared without its header,
against the picture in doc/architecture.md.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def chain(*rooms, below=()):
    """Rooms of which each may use those before it, and what is below all."""
    return {room: {*rooms[:i], *below} for i, room in enumerate(rooms)}


BASE = {"server/base"}
ENGINE = [f"server/engine/{room}" for room in (
    "frames", "lists", "faiss", "search", "train", "tune", "build")]
CATALOG = [f"server/catalog/{room}" for room in ("records", "store", "open")]
CATALOG.append("server/catalog")
BELOW_CATALOG = {*BASE, "server/kernels", "server/objects", *ENGINE}
BELOW_SERVICE = {*BELOW_CATALOG, *CATALOG, "server/metrics"}
SHARED = [f"server/service/{room}" for room in (
    "transport", "contract", "rpc")]
RPCS = [f"server/service/{room}" for room in (
    "live", "upload", "voices", "probes")]

# room -> the rooms of this project that it may include
MAY_INCLUDE = {
    "server/base": set(),
    "server/kernels": BASE,
    "server/objects": BASE,
    "server/metrics": set(),
    **chain(*ENGINE, below={*BASE, "server/kernels"}),
    **chain(*CATALOG, below=BELOW_CATALOG),
    **chain(*SHARED, below=BELOW_SERVICE),
    # They do not use each other.
    **{room: {*BELOW_SERVICE, *SHARED} for room in RPCS},
    "server/service": {*BELOW_SERVICE, *SHARED, *RPCS},
    "server/app": {*BELOW_SERVICE, *SHARED, *RPCS, "server/service"},
    "server": {"server/app", "server/base"},  # main.cc
    "client/cpp": BASE,
    "client/files": {*BASE, "client/cpp"},
    "client/files/faiss": {*BASE, "client/cpp", "client/files"},
    "client/page": set(),
    "client/load": {*BASE, "client/cpp", "client/files", "client/page"},
    "client/cli": {
        *BASE, "client/cpp", "client/files", "client/files/faiss",
        "client/load", "client/page",
    },
}
# The transport carries bytes: it knows nothing of voices.
MAY_INCLUDE["server/service/transport"] = {*BASE, "server/metrics"}

# Libraries that some rooms alone may know.
ONLY = {
    r"grpcpp/|grpc/": {
        *SHARED, *RPCS, "server/service", "server/app", "client/cpp",
        "client/load",
    },
    r"httplib": {"client/load"},
    r"faiss/|omp\.h": {"client/files/faiss"},
    r"\w*mmintrin|immintrin": {"server/kernels"},
    r"prometheus/": {"server/metrics", "server/app"},
    r"spdlog/": BASE,
    r"CLI/": {"client/cli"},
    r"zlib": {"server/service/transport"},
    r"curl/|openssl/|pugixml": {"server/objects"},
}

INCLUDE = re.compile(r'^#include ([<"])([^>"]+)[>"]', re.MULTILINE)
DECLARED = re.compile(r"^(?:class|struct) (\w+);", re.MULTILINE)
DEFINED = re.compile(r"^(?:class|struct) (\w+)(?: final)?(?: :|\s*\{)",
                     re.MULTILINE)


def room_of(path):
    """The folder of the longest name in MAY_INCLUDE that holds it."""
    for parent in pathlib.PurePosixPath(path).parents:
        if str(parent) in MAY_INCLUDE:
            return str(parent)
    raise SystemExit(f"{path} is in no room")


def sources():
    for folder in ("server", "client"):
        for path in sorted((ROOT / folder).glob("**/*.[ch]*")):
            if path.suffix in (".h", ".cc"):
                yield str(path.relative_to(ROOT)), path.read_text()


def included(name, text):
    """What is wrong with the includes of one file."""
    room = room_of(name)
    for kind, target in INCLUDE.findall(text):
        if kind == '"' and target.startswith(("server/", "client/", "tests/")):
            if room_of(target) not in MAY_INCLUDE[room] | {room}:
                yield f"{name} includes {target}"
        for pattern, rooms in ONLY.items():
            if re.match(pattern, target) and room not in rooms:
                yield f"{name} includes {target}"


def declared(name, text, homes):
    """What it declares of rooms that it may not include."""
    room = room_of(name)
    for type_name in DECLARED.findall(text):
        rooms = homes.get(type_name, {room})  # others: of libraries
        if not rooms & (MAY_INCLUDE[room] | {room}):
            yield f"{name} declares {type_name} of {', '.join(rooms)}"


def main():
    homes = {}
    for name, text in sources():
        if name.endswith(".h"):
            for type_name in DEFINED.findall(text):
                homes.setdefault(type_name, set()).add(room_of(name))
    errors = []
    for name, text in sources():
        errors += included(name, text)
        errors += declared(name, text, homes)
    print("\n".join(errors) or "every include points downward")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
