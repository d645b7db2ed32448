"""Builds and their quality: a server of our own against faiss in this process.

Builds are the whole Build RPC as a client sees it, frames sent, index trained,
tuned, synced and published; faiss's are train and add with all CPUs, in memory.
They take turns; what is reported are medians. Quality is what a worker gets for
its time: RVC's own index and numpy against one blend of the Python package with
the defaults that the build chose.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy as np

import engine
import rvc
from worker import K, Local

sys.path.insert(0, str(engine.ROOT / "client" / "python"))
sys.path.insert(0, str(engine.ROOT / "tests" / "support"))

import timbre  # noqa: E402
from timbred import Timbred  # noqa: E402

NPROBES = (1, 4, 16)
BLOCK = 16


def ids_of(found):
    _, ids = found  # distances first, as faiss
    return ids


def seconds(action):
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


class Server(Timbred):
    def start(self):
        super().start()
        self.client = timbre.Client(self.address)
        return self

    def build(self, frames, **options):
        return seconds(lambda: self.client.build("bench", frames, **options))

    def stages(self):
        """Seconds of each stage of all builds so far."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        text = urllib.request.urlopen(url).read().decode()
        name = "timbre_build_stage_duration_seconds_sum"
        return {
            line.split('"')[1]: float(line.split()[-1])
            for line in text.splitlines() if line.startswith(name)
        }

    def peak_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [x for x in status.splitlines() if x.startswith("VmHWM")]
        return int(line.split()[1]) * 1024

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.client.close()
        self.stop()


def build_faiss(frames, factory):
    """Train and add, by 8-bit-free PQ of the frames themselves as ours."""
    import faiss

    index = faiss.index_factory(frames.shape[1], factory)
    faiss.downcast_index(index.base_index).by_residual = False
    took, _ = seconds(lambda: (index.train(frames), index.add(frames)))
    index.k_factor = engine.K_FACTOR
    return took, index


def recalls_of_faiss(voice, index):
    import faiss

    found = []
    for nprobe in NPROBES:
        faiss.downcast_index(index.base_index).nprobe = nprobe
        found.append(voice.recall(index.search(voice.queries, K)[1]))
    return found


def recalls_of_server(voice, server):
    speaker = server.client.speaker("bench")
    return [
        voice.recall(
            ids_of(
                speaker.search(
                    voice.queries, K, nprobe=nprobe, k_factor=engine.K_FACTOR
                )
            )
        )
        for nprobe in NPROBES
    ]


def compare_builds(voice, rounds):
    frames = np.asarray(voice.frames, np.float32)
    factory = f"IVF{voice.nlist},PQ{voice.dimension // 2}x4fs,RFlat"
    ours, theirs, tuning = [], [], []
    with tempfile.TemporaryDirectory() as directory:
        with Server(directory) as server:
            for _ in range(rounds):
                before = server.stages()
                took, _ = server.build(frames, index_factory=factory)
                ours.append(took)
                tuned = server.stages()["tuning"] - before["tuning"]
                tuning.append(tuned / took)
                took, index = build_faiss(frames, factory)
                theirs.append(took)
            recalls = recalls_of_server(voice, server)
    return {
        "n": voice.rows, "dimension": voice.dimension, "index": factory,
        "ours_s": statistics.median(ours),
        "faiss_s": statistics.median(theirs),
        "ratio": statistics.median(b / a for a, b in zip(ours, theirs)),
        "tuning_share": statistics.median(tuning),
        "nprobe": NPROBES,
        "ours_recall": recalls,
        "faiss_recall": recalls_of_faiss(voice, index),
    }


def large_build(rows, **options):
    """One build of frames that are sent as they are made: time and memory."""
    synth = engine.ROOT / "build" / "bin" / "timbre"
    directory = engine.VOICES / f"features-{rows}"
    if not directory.exists():
        subprocess.run(
            [synth, "synth", directory, f"--frames={rows}"], check=True
        )
    with tempfile.TemporaryDirectory(dir=engine.VOICES) as data:
        with Server(data) as server:
            took, version = server.build(str(directory), **options)
            result = {
                "n": rows, "dimension": version.dimension,
                "index": version.index_factory, "frames": version.frames,
                "ours_s": took, "peak_bytes": server.peak_bytes(),
                "limit_bytes": 2 * rows * version.dimension * 4 + 200 * 2**20,
                "stages": server.stages(),
            }
            if version.frames < rows:
                result["inertia"] = inertia(server, directory)
    return result


def inertia(server, directory):
    """Mean squared distance of the frames to the stored centres."""
    with tempfile.TemporaryDirectory(dir=engine.VOICES) as out:
        path = pathlib.Path(out) / "centres.npy"
        server.client.export("bench", path, format="npy")
        centres = np.load(path).astype(np.float32)
    return inertia_of(centres, directory)


def inertia_of(centres, directory):
    import faiss

    index = faiss.IndexFlatL2(centres.shape[1])
    index.add(centres)
    total = count = 0
    for path in sorted(pathlib.Path(directory).glob("*.npy")):
        d, _ = index.search(np.load(path).astype(np.float32), 1)
        total, count = total + float(d.sum()), count + len(d)
    return total / count


def lloyd(directory, k, iterations):
    """faiss's k-means over the same frames: the inertia, and how long."""
    import faiss

    frames = np.concatenate(
        [np.load(p) for p in sorted(pathlib.Path(directory).glob("*.npy"))]
    ).astype(np.float32)
    kmeans = faiss.Kmeans(
        frames.shape[1], k, niter=iterations, seed=1,
        max_points_per_centroid=10**9, min_points_per_centroid=1,
    )
    took, _ = seconds(lambda: kmeans.train(frames))
    return took, inertia_of(kmeans.centroids, directory)


def exact_blend(voice, queries):
    import faiss

    frames = np.asarray(voice.frames, np.float32)
    index = faiss.IndexFlatL2(voice.dimension)
    index.add(frames)
    distances, ids = index.search(queries, K)
    return rvc.mix(queries, distances, frames[ids])


def mixed(blended, queries):
    """What stands for the neighbours alone, at index_rate 1."""
    return (blended - (1 - rvc.RATE) * queries) / rvc.RATE


def in_blocks(blend, queries):
    for i in range(0, 100 * BLOCK, BLOCK):
        blend(queries[i : i + BLOCK])


def compare_quality(voice, rounds):
    queries = voice.queries
    truth = mixed(exact_blend(voice, queries), queries)
    norms = np.linalg.norm(truth, axis=1)
    with tempfile.TemporaryDirectory() as directory:
        with Server(directory) as server:
            _, version = server.build(np.asarray(voice.frames, np.float32))
            speaker = server.client.speaker("bench")
            contenders = {
                "RVC, one thread": Local(voice, 1),
                "RVC, two threads": Local(voice, 2),
                "Timbre, defaults": lambda x: speaker.blend(x, rvc.RATE, K),
            }
            times = {name: {"whole": [], "block": []} for name in contenders}
            errors = {}
            for _ in range(rounds):
                for name, blend in contenders.items():
                    took, out = seconds(lambda: blend(queries))
                    times[name]["whole"].append(took / len(queries))
                    off = np.linalg.norm(mixed(out, queries) - truth, axis=1)
                    errors[name] = float(np.mean(off / norms))
                    took, _ = seconds(lambda: in_blocks(blend, queries))
                    times[name]["block"].append(took / (100 * BLOCK))
            local = contenders["RVC, one thread"]
            found = dict.fromkeys(contenders, voice.recall(local.search(queries)))
            found["Timbre, defaults"] = voice.recall(
                ids_of(speaker.search(queries, K))
            )
    defaults = f"nprobe {version.default_nprobe}, k_factor {version.default_k_factor:g}"
    return [
        {
            "who": name, "settings": defaults if name.startswith("T") else "",
            "recall": found[name], "blend_error": errors[name],
            "us_whole": 1e6 * statistics.median(times[name]["whole"]),
            "us_block": 1e6 * statistics.median(times[name]["block"]),
        }
        for name in contenders
    ]


def show_builds(rows):
    print("| frames x d | Build, s | faiss train + add, s | ratio | tuning |"
          " recall@8 at nprobe 1, 4, 16 | faiss's |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        ours, theirs = (
            " / ".join(f"{r:.3f}" for r in row[key])
            for key in ("ours_recall", "faiss_recall")
        )
        print(
            f"| {row['n']:,} x {row['dimension']} | {row['ours_s']:.2f} |"
            f" {row['faiss_s']:.2f} | {row['ratio']:.1f} |"
            f" {row['tuning_share']:.0%} | {ours} | {theirs} |"
        )


def show_large(row):
    text = (
        f"{row['n']:,} frames, {row['index']}: {row['ours_s']:.1f} s, peak"
        f" {row['peak_bytes'] / 2**20:,.0f} MiB of"
        f" {row['limit_bytes'] / 2**20:,.0f}"
    )
    if "lloyd_inertia" in row:
        text += (
            f"; inertia {row['inertia']:.3f}, faiss's Lloyd after"
            f" {row['lloyd_iterations']} iterations ({row['lloyd_s']:.0f} s)"
            f" {row['lloyd_inertia']:.3f}"
        )
    print(text)


def show_quality(rows):
    print("| | recall@8 | blend error | us a frame, 2,000 at once |"
          " us a frame, 16 at once |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows:
        print(
            f"| {row['who']} {row['settings']} | {row['recall']:.3f} |"
            f" {row['blend_error']:.3f} | {row['us_whole']:.1f} |"
            f" {row['us_block']:.1f} |"
        )


def main():
    parser = argparse.ArgumentParser(
        prog="script/bench build", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="build,quality,million,reduce",
                        help="which of build, quality, million, reduce")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    only = options.only.split(",")
    results = {"command": " ".join(sys.argv)}
    voice = engine.Voice(100_000, 256, 1024)
    if "build" in only:
        results["build"] = [compare_builds(voice, options.rounds)]
        show_builds(results["build"])
    if "quality" in only:
        results["quality"] = compare_quality(voice, options.rounds)
        show_quality(results["quality"])
    if "million" in only:
        results["million"] = large_build(1_000_000)
        show_large(results["million"])
    if "reduce" in only:
        row = large_build(300_000, reduce_to_centroids=10_000)
        row["lloyd_iterations"] = 20
        row["lloyd_s"], row["lloyd_inertia"] = lloyd(
            engine.VOICES / "features-300000", 10_000, row["lloyd_iterations"]
        )
        results["reduce"] = row
        show_large(row)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
