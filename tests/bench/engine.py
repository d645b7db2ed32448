"""This engine against faiss: the same index, data, queries, core and minute.

Two processes take turns on one core: engine_bench (this engine, and the faiss
of the system) and this one (Python's faiss-cpu, where it can be imported). A
round runs every contender once; what is reported are medians over the rounds,
their spread (the quarter and three-quarter points), and the median of the
ratios round by round. This engine's time includes the blend; faiss's does not.

Recall@8 and ids are measured on the answers of the same runs, against exact
search of the same frames.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

K = 8
K_FACTOR = 4
ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "build" / "bin" / "engine_bench"
VOICES = ROOT / "build" / "bench"
BATCHES = (1, 8, 16, 32, 100, 2000)
NPROBES = (1, 4, 16)
QUERIES = 2000

# How faiss-cpu is told to do without newer instructions, before it is loaded.
FAISS_LEVELS = {
    "avx2": {"FAISS_SIMD_LEVEL": "AVX2", "OPENBLAS_CORETYPE": "Haswell"},
    "portable": {"FAISS_SIMD_LEVEL": "NONE", "OPENBLAS_CORETYPE": "Prescott"},
}

# What the system's faiss may take of a round: it is slow, and not what counts.
SLOW_QUERIES = 200


class Voice:
    """An index on the disk, its queries, and what exact search finds."""

    def __init__(self, rows, dimension, nlist, queries=QUERIES):
        self.rows, self.dimension, self.nlist = rows, dimension, nlist
        self.directory = VOICES / f"{rows}x{dimension}-ivf{nlist}"
        if not (self.directory / "queries.npy").exists():
            print(f"building {self.directory.name} ...", file=sys.stderr)
            subprocess.run(
                [BENCH, "prepare", self.directory, str(rows), str(dimension),
                 str(nlist)],
                check=True,
            )
        self.queries = np.load(self.directory / "queries.npy")[:queries]
        self.frames = np.load(self.directory / "total_fea.npy", mmap_mode="r")
        self.kth = self._exact()

    def _exact(self):
        """The distance of every query's K-th nearest frame, exactly."""
        best = np.full((len(self.queries), K), np.inf)
        q = self.queries.astype(np.float64)
        for first in range(0, self.rows, 16384):
            block = self.frames[first : first + 16384].astype(np.float64)
            d = (q**2).sum(1)[:, None] - 2 * q @ block.T + (block**2).sum(1)
            both = np.concatenate([best, d], axis=1)
            best = np.partition(both, K - 1, axis=1)[:, :K]
        return best.max(axis=1)

    def recall(self, ids):
        """Ties by distance count as found."""
        found = self.frames[np.maximum(ids, 0)].astype(np.float64)
        d = ((found - self.queries[: len(ids), None, :]) ** 2).sum(2)
        near = d <= self.kth[: len(ids), None] * (1 + 1e-6) + 1e-6
        return float(np.mean(near & (ids >= 0)))


class Process:
    """engine_bench, which searches on demand."""

    def __init__(self, voice, simd_level):
        command = [BENCH, "run", voice.directory]
        if simd_level:
            command.append(simd_level)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.simd_level = self._receive()["simd_level"]

    def _receive(self):
        line = self._process.stdout.readline()
        if not line:  # it has said why
            raise SystemExit(self._process.wait())
        return json.loads(line)

    def run(self, **command):
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = self._receive()
        ids = answer.get("ids")
        return answer["us"], ids and np.array(ids).reshape(-1, K)

    def close(self):
        self._process.stdin.close()
        self._process.wait()


class PythonFaiss:
    """faiss-cpu on one thread, with either way of assigning a batch."""

    def __init__(self, voice):
        import faiss

        self._faiss = faiss
        faiss.omp_set_num_threads(1)
        self.name = f"faiss-cpu {faiss.__version__}"
        self._index = faiss.read_index(str(voice.directory / "faiss.index"))
        self._index.k_factor = K_FACTOR
        self._ivf = faiss.extract_index_ivf(self._index.base_index)
        self._queries = np.ascontiguousarray(voice.queries)
        self._evict = np.ones(128 << 20, np.uint8)
        # Below this many queries faiss compares without BLAS.
        self._thresholds = (faiss.cvar.distance_compute_blas_threshold, 1)

    def run(self, nprobe, batch, frames, cold, blas):
        self._ivf.nprobe = nprobe
        cvar = self._faiss.cvar
        cvar.distance_compute_blas_threshold = self._thresholds[blas]
        total, ids = 0.0, []
        for first in range(0, frames, batch):
            x = self._queries[first : min(first + batch, frames)]
            if cold:
                self._evict.max()  # as engine_bench does
            start = time.perf_counter()
            _, found = self._index.search(x, K)
            total += time.perf_counter() - start
            ids.append(found)
        cvar.distance_compute_blas_threshold = self._thresholds[0]
        return 1e6 * total / frames, np.concatenate(ids)


def contenders(voice, process, python_faiss, case):
    """name -> a call that returns (microseconds a frame, ids)."""
    nprobe, batch, cold = case
    queries = len(voice.queries)
    slow = min(SLOW_QUERIES, queries) if batch <= SLOW_QUERIES else queries
    frames = {"ours": queries, "faiss": slow}
    if cold:
        frames = {"ours": 20 * batch, "faiss": 5 * batch}

    def ask(who, count):
        return lambda: process.run(
            who=who, nprobe=nprobe, batch=batch, frames=count, cold=cold,
            ids=True,
        )

    calls = {"ours": ask("ours", frames["ours"]),
             "system": ask("faiss", frames["faiss"])}
    if python_faiss:
        for blas in (0, 1):
            calls[f"python{blas}"] = lambda blas=blas: python_faiss.run(
                nprobe, batch, frames["ours"], cold, blas
            )
    return calls


def spread(values):
    ordered = sorted(values)
    return [ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]]


def agreement(voice, ours, theirs):
    """The share of places with the same id, or with rows that are equal:
    faiss has no order among those."""
    count = min(len(ours), len(theirs))
    ours, theirs = ours[:count], theirs[:count]
    same = ours == theirs
    for place in zip(*np.nonzero(~same)):
        a, b = ours[place], theirs[place]
        if a >= 0 and b >= 0:
            same[place] = np.array_equal(voice.frames[a], voice.frames[b])
    return float(np.mean(same))


def measure(voice, process, python_faiss, case, rounds):
    calls = contenders(voice, process, python_faiss, case)
    times = {name: [] for name in calls}
    ids = {}
    for name, call in calls.items():  # warm-up, and the answers
        ids[name] = call()[1]
    for _ in range(rounds):
        for name, call in calls.items():
            if name == "system" and len(times[name]) >= max(2, rounds // 4):
                continue
            if not case[2]:
                call()  # what the others pushed out of the caches
            times[name].append(call()[0])
    median = {name: statistics.median(t) for name, t in times.items()}
    best = min((n for n in calls if n != "ours"), key=median.get)
    paired = zip(times["ours"], times[best])
    nprobe, batch, cold = case
    common = min(len(ids["ours"]), len(ids[best]))
    return {
        "n": voice.rows,
        "dimension": voice.dimension,
        "nlist": voice.nlist,
        "nprobe": nprobe,
        "batch": batch,
        "cold": cold,
        "ours_us": median["ours"],
        "ours_spread": spread(times["ours"]),
        "faiss_us": median[best],
        "faiss_spread": spread(times[best]),
        "system_faiss_us": median["system"],
        "faiss": python_faiss.name if best != "system" else "system",
        "ratio": statistics.median(b / a for a, b in paired),
        "ours_recall": voice.recall(ids["ours"][:common]),
        "faiss_recall": voice.recall(ids[best][:common]),
        "same_ids": agreement(voice, ids["ours"], ids[best]),
        "simd_level": process.simd_level,
    }


def check(row):
    """The answers are those of the same search."""
    if abs(row["ours_recall"] - row["faiss_recall"]) > 0.005:
        raise SystemExit(f"recall differs: {row}")
    if row["same_ids"] < 0.999:
        raise SystemExit(f"ids differ: {row}")


HEADER = (
    "| N x d | nprobe | batch | | ours, us a frame | faiss | ratio "
    "| recall@8 ours / faiss | same ids |\n" + "| --- " * 9 + "|"
)


def line(row):
    low, high = row["ours_spread"]
    return (
        f"| {row['n']:,} x {row['dimension']} | {row['nprobe']} "
        f"| {row['batch']} | {'cold' if row['cold'] else 'warm'} "
        f"| {row['ours_us']:.2f} ({low:.2f}-{high:.2f}) "
        f"| {row['faiss_us']:.1f} ({row['faiss']}) | {row['ratio']:.1f} "
        f"| {row['ours_recall']:.3f} / {row['faiss_recall']:.3f} "
        f"| {100 * row['same_ids']:.2f} % |"
    )


def plot(rows, path):
    try:
        import matplotlib
    except ImportError:
        print("no matplotlib: no plot", file=sys.stderr)
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [r for r in rows if not r["cold"] and r["dimension"] == 256]
    sizes = sorted({r["n"] for r in shown})
    figure, axes = pyplot.subplots(
        1, len(sizes), figsize=(6 * len(sizes), 4), squeeze=False
    )
    for axis, size in zip(axes[0], sizes):
        for nprobe, color in zip(NPROBES, ("C0", "C1", "C2")):
            of = [r for r in shown if r["n"] == size and r["nprobe"] == nprobe]
            x = [r["batch"] for r in of]
            axis.plot(x, [r["ours_us"] for r in of], color + "o-",
                      label=f"Timbre, nprobe {nprobe}")
            axis.plot(x, [r["faiss_us"] for r in of], color + "s--",
                      label=f"{of[0]['faiss']}, nprobe {nprobe}" if of else "")
        axis.set(xscale="log", yscale="log", xlabel="frames a call",
                 ylabel="microseconds a frame, one core",
                 title=f"{size:,} frames of 256 numbers, k 8, k_factor 4")
        axis.grid(True, which="both", alpha=0.3)
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    print(f"plot: {path}", file=sys.stderr)


def cases(quick):
    batches = (1, 32) if quick else BATCHES
    warm = [(p, b, False) for p in NPROBES for b in batches]
    return warm + [(p, 32, True) for p in NPROBES]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="write the rows to this file")
    parser.add_argument("--plot", help="write an SVG to this file")
    parser.add_argument("--quick", action="store_true",
                        help="100,000 frames and two batch sizes alone")
    parser.add_argument("--max_frames", type=int, default=1_000_000,
                        help="leave larger voices out")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--queries", type=int, default=QUERIES,
                        help="different frames, up to 4000; 32 stay in the "
                        "nearest caches")
    parser.add_argument("--simd_level", default="",
                        help="this engine's, as timbred takes it; avx2 and "
                        "portable limit faiss-cpu too")
    parser.add_argument("--core", type=int, default=0)
    options = parser.parse_args()
    if options.simd_level in FAISS_LEVELS:
        os.environ.update(FAISS_LEVELS[options.simd_level])
    shapes = [(100_000, 256, 1024)]
    if not options.quick:
        shapes += [(100_000, 768, 1024), (1_000_000, 256, 4096)]
    rows = []
    print(HEADER)
    for shape in shapes:
        if shape[0] > options.max_frames:
            continue
        voice = Voice(*shape, options.queries)
        os.sched_setaffinity(0, {options.core})  # and that of children
        process = Process(voice, options.simd_level)
        try:
            python_faiss = PythonFaiss(voice)
        except ImportError:
            python_faiss = None
        for case in cases(options.quick):
            row = measure(voice, process, python_faiss, case, options.rounds)
            check(row)
            rows.append(row)
            print(line(row), flush=True)
        process.close()
        os.sched_setaffinity(0, range(os.cpu_count()))
    if options.json:
        document = {"command": " ".join(sys.argv), "rows": rows}
        pathlib.Path(options.json).write_text(json.dumps(document, indent=1))
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
