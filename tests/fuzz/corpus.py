"""Writes the seeds of the fuzzers from what a real server takes and makes:
/usr/bin/python3 tests/fuzz/corpus.py, after script/build.

Seeds that fuzzers found (corpus/NAME/found-*) stay as they are.
"""

import pathlib
import struct
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
sys.path.insert(0, str(HERE.parent / "integration"))

from conftest import Server, build_requests, pb, to_frames  # noqa: E402

CORPUS = HERE / "corpus"
KINDS = ["Flat", "IVF3,Flat", "IVF3,PQ2x4fs,RFlat",
         "IVF3,PQ4x4fs,Refine(SQfp16)"]
METRICS = [pb.METRIC_L2, pb.METRIC_INNER_PRODUCT, pb.METRIC_COSINE]
ROWS, DIMENSION = 40, 8


def write(fuzzer, name, contents):
    directory = CORPUS / fuzzer
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(contents)


def piece(message):
    """As messages.h reads them: where it is cut, its length, itself."""
    data = message.SerializeToString()
    return struct.pack("<BH", 7, len(data)) + data


def frames(rows, dimension, dtype=np.float32, seed=1):
    numbers = np.random.default_rng(seed).normal(size=(rows, dimension))
    numbers[rows // 2:rows // 2 + 3] = numbers[0]  # silence repeats itself
    return numbers.astype(dtype)


def streams():
    """Method, length of the header timbre-speaker (200: none), messages; the
    version that voices are pinned to follows the first message."""
    version = struct.pack("<H", 2)
    params = pb.SearchParams(k=4, nprobe=3, k_factor=2.5)
    params.latency_budget.nanos = 20_000_000
    floats, halves = frames(3, 4), frames(2, 4, np.float16)
    search = [
        pb.SearchRequest(speaker="anna", params=params, frames=to_frames(floats)),
        pb.SearchRequest(frames=to_frames(halves)),
        pb.SearchRequest(speaker="anna", version=3,
                         params=pb.SearchParams(target_recall=0.9)),
    ]
    blend = [
        pb.BlendRequest(
            speaker="anna",
            params=pb.BlendParams(search=params, index_rate=0.5, alpha=2,
                                  weighting=pb.WEIGHTING_COSINE_POWER),
            frames=to_frames(floats), reply_element_type=1,
            frame_index_rates=struct.pack("<3f", 0, 0.5, 1)),
        pb.BlendRequest(frames=to_frames(halves)),
    ]
    voices = [pb.VoiceWeight(speaker="anna", weight=2),
              pb.VoiceWeight(speaker="bert", version=3, weight=1)]
    mix = [pb.BlendRequest(voices=voices, frames=to_frames(floats)),
           pb.BlendRequest(voices=voices, params=blend[0].params),
           pb.BlendRequest(frames=to_frames(floats))]
    tune = [pb.TuneRequest(speaker="anna", k=8, target_recall=0.9, apply=True,
                           frames=to_frames(floats)),
            pb.TuneRequest(speaker="anna", frames=to_frames(halves))]
    others = [pb.ListSpeakersRequest(page_size=7, prefix="a", page_token="x"),
              pb.ReadFramesRequest(speaker="anna", ids=[1, 2, 300]),
              pb.ExportRequest(speaker="anna", format=2)]
    for name, method, messages, pinned in [
        ("search", 0, search, version), ("blend", 1, blend, version),
        ("mix", 1, mix, 2 * version), ("tune", 2, tune, b""),
    ]:
        first, *later = map(piece, messages)
        write("messages", name,
              bytes([method, 0]) + first + pinned + b"".join(later))
    write("messages", "header", bytes([0, 204]) + b"anna" + piece(search[0]))
    write("messages", "others", bytes([3]) + b"".join(map(piece, others)))


def builds():
    cases = [
        ("chosen", {}),
        ("flat", {"index_factory": "Flat", "metric": pb.METRIC_COSINE}),
        ("lists", {"index_factory": "IVF5,Flat", "target_recall": 0.9}),
        ("coded", {"index_factory": "IVF3,PQ2x4fs,RFlat", "seed": 7,
                   "labels": {"key": "value"}, "request_id": "request"}),
        ("half", {"index_factory": "IVF9,PQ4x4fs,Refine(SQfp16)",
                  "metric": pb.METRIC_INNER_PRODUCT, "dimension": 8,
                  "storage": pb.ELEMENT_TYPE_FLOAT16}),
        ("reduced", {"index_factory": "IVF2,Flat", "reduce_to_centroids": 9}),
        ("expanded", {"database_expansion_k": 3, "expected_frames": ROWS}),
    ]
    for name, options in cases:
        requests = build_requests("anna", frames(ROWS, DIMENSION), 25,
                                  **options)
        write("build", name, b"".join(map(piece, requests)))


def described(factory, metric, storage):
    """As stored_index_fuzz.cc reads it."""
    parts = factory.split(",")
    coded = parts[1].startswith("PQ")
    return struct.pack(
        "<BBHIII", int(coded), METRICS.index(metric) + 3 * (storage == 2),
        DIMENSION, int(parts[1][2:-4]) if coded else 0, int(parts[0][3:]), ROWS)


def files(server):
    for k, factory in enumerate(KINDS):
        for metric in METRICS:
            if k != 2 and metric == pb.METRIC_INNER_PRODUCT:
                continue
            name = f"{k}-{pb.Metric.Name(metric)[7:].lower()}"
            speaker = f"v{name.replace('_', '-')}"
            version, _ = server.build(
                speaker, frames(ROWS, DIMENSION), index_factory=factory,
                metric=metric)
            for format in (1, 2):
                chunks = server.catalog.Export(
                    pb.ExportRequest(speaker=speaker, format=format))
                write("index_file", f"{name}-{format}",
                      b"".join(chunk.chunk for chunk in chunks))
            stored = server.directory / "data/speakers" / speaker / "1"
            if k > 0:
                write("stored_index", name,
                      described(factory, metric, version.storage)
                      + (stored / "added.index").read_bytes())
            records(name, server.directory, stored)
            if metric == pb.METRIC_L2:
                server.tune(speaker)
                records(f"{name}-tuned", server.directory, stored)


def records(name, directory, stored):
    manifest = (stored / "manifest.json").read_bytes()
    manifest = manifest.replace(stored.parent.name.encode(), b"anna")
    tuning = stored / "tuning.json"
    tuned = tuning.read_bytes() if tuning.exists() else b""
    for mended in (0, 1):
        write("records", f"{name}-{mended}", bytes([mended])
              + struct.pack("<H", len(manifest)) + manifest + tuned)


def states(server):
    state = (server.directory / "data/speakers/v0-l2/state.json").read_bytes()
    write("records", "state-0", bytes([2, 0, 0]) + state)
    write("records", "state-1", bytes([2, 2, 0, 0x01, 0x10]) + state)
    deleted = state.replace(b"{", b'{ "deleted_through": "3",', 1)
    write("records", "state-2", bytes([2, 2, 0, 0x21, 0x13]) + deleted)


def tokens(server):
    page = server.catalog.ListSpeakers(
        pb.ListSpeakersRequest(page_size=1, prefix="v1"))
    write("page_token", "next",
          struct.pack("<H", 2) + b"v1" + page.next_page_token.encode())
    write("page_token", "none", struct.pack("<H", 0))


def arrays():
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "array.npy"
        small = frames(4, 3)
        for name, array in [
            ("f4", small), ("f2", small.astype("<f2")),
            ("f8", small.astype("<f8")), ("i8", small.astype("<i8")),
            ("big", small.astype(">f4")), ("fortran", np.asfortranarray(small)),
            ("flat", small.ravel()), ("cube", small.reshape(2, 2, 3)),
            ("none", small[:0]),
        ]:
            np.save(path, array)
            write("npy", name, b"\1" + path.read_bytes())
            with open(path, "wb") as file:
                np.lib.format.write_array(file, array, version=(2, 0))
            write("npy", f"{name}-2", b"\1" + path.read_bytes())
        write("npy", "stored", struct.pack("<BHHH", 0, 3, 2, 0) + small.tobytes())


class TunedServer(Server):
    def tune(self, speaker):
        requests = [pb.TuneRequest(speaker=speaker, apply=True,
                                   frames=to_frames(frames(9, DIMENSION)))]
        self.catalog.Tune(iter(requests))


def main():
    streams()
    builds()
    arrays()
    with tempfile.TemporaryDirectory() as directory:
        server = TunedServer(directory)
        server.start()
        try:
            files(server)
            states(server)
            tokens(server)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
