"""What a conversion worker waits for a block, and what it computes: its own
faiss and numpy, as RVC has them, or a server. All of it in one Python process,
in turns; the C++ client in one of its own."""

import contextlib
import json
import queue
import statistics
import subprocess
import sys
import time

import grpc
import numpy as np

import engine
import rvc

sys.path.insert(0, str(engine.ROOT / "client" / "python"))

sys.path.insert(0, str(engine.ROOT / "tests" / "support"))

import timbre  # noqa: E402
from stubs import generate_stubs  # noqa: E402
from timbre import _contract as pb  # noqa: E402

K = 8
# At the pace of live streams processors sleep between blocks, and their caches
# are cold after it. (Streams send every 250 ms; 50 make no difference.)
LIVE_PAUSE_S = 0.05
RVC_LISTS = 2564  # of 100,000 frames: N / 39


class Local:
    """RVC's pipeline: IVF,Flat, nprobe 1, and numpy."""

    def __init__(self, voice, threads):
        import faiss

        self._faiss, self._threads = faiss, threads
        path = voice.directory / f"ivf{RVC_LISTS}_flat.index"
        if not path.exists():
            index = faiss.index_factory(
                voice.dimension, f"IVF{RVC_LISTS},Flat"
            )
            frames = np.asarray(voice.frames, np.float32)
            index.train(frames)
            index.add(frames)
            faiss.write_index(index, str(path))
        self._index = faiss.read_index(str(path))
        self._rows = self._index.reconstruct_n(0, self._index.ntotal)

    def __call__(self, x):
        self._faiss.omp_set_num_threads(self._threads)
        distances, ids = self._index.search(x, K)
        return rvc.mix(x, distances, self._rows[ids])

    def search(self, x):
        return self._index.search(x, K)[1]


class Package:
    """timbre's own package."""

    def __init__(self, address, speaker, nprobe):
        self._client = timbre.Client(address)
        self._voice = self._client.speaker(speaker)
        self._nprobe = nprobe

    def __call__(self, x):
        return self._voice.blend(x, rvc.RATE, K, nprobe=self._nprobe)

    def close(self):
        self._client.close()


class Grpcio:
    """One open stream, as grpcio's tutorials have it."""

    def __init__(self, address, speaker, nprobe):
        self._channel = grpc.insecure_channel(
            address, options=[("grpc.max_receive_message_length", -1)]
        )
        self._requests = queue.SimpleQueue()
        self._answers = self._channel.stream_stream(
            pb.BLEND,
            request_serializer=pb.BlendRequest.SerializeToString,
            response_deserializer=pb.BlendResponse.FromString,
        )(iter(self._requests.get, None))
        self._first = {
            "speaker": speaker,
            "params": pb.BlendParams(
                index_rate=rvc.RATE, search=pb.SearchParams(k=K, nprobe=nprobe)
            ),
        }

    def __call__(self, x):
        frames = pb.Frames(data=x.tobytes(), dimension=x.shape[1])
        self._requests.put(pb.BlendRequest(frames=frames, **self._first))
        self._first = {}
        answer = next(self._answers)
        return np.frombuffer(answer.frames.data, np.float32).reshape(x.shape)

    def close(self):
        self._requests.put(None)
        list(self._answers)
        self._channel.close()


class Cpp:
    """The C++ client, measured by itself in the same turns."""

    def __init__(self, address, speaker, queries, nprobe):
        self._process = subprocess.Popen(
            [engine.ROOT / "build" / "bin" / "serving_bench", "blend", address, speaker, queries],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        self._speaker, self._nprobe = speaker, nprobe

    def block(self, frames, blocks, pause_s):
        command = {"nprobe": self._nprobe, "batch": frames,
                   "messages": blocks, "whole": frames > 1000,
                   "speaker": self._speaker, "pause_s": pause_s}
        print(json.dumps(command), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        return 1e-3 * answer["median_us"], 1e-3 * answer["cpu_us"]

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def block_ms(call, queries, frames, blocks, pause_s=0):
    """Medians of a block's wall time, and this process's CPU for it; so much
    time between blocks."""
    if isinstance(call, Cpp):
        return call.block(frames, blocks, pause_s)
    times = []
    cpu = time.process_time()
    for i in range(blocks):
        first = i * frames % (len(queries) - frames + 1)
        x = np.ascontiguousarray(queries[first : first + frames])
        if pause_s > 0:
            time.sleep(pause_s)
        start = time.perf_counter()
        call(x)
        times.append(time.perf_counter() - start)
    cpu = time.process_time() - cpu
    return 1e3 * statistics.median(times), 1e3 * cpu / blocks


def naive(directory, voice, nprobe):
    process = subprocess.Popen(
        [sys.executable, engine.ROOT / "tests/bench/naive_service.py",
         directory, voice.directory / "faiss.index",
         voice.directory / "total_fea.npy", str(nprobe)],
        stdout=subprocess.PIPE, text=True,
    )
    return process, f"127.0.0.1:{process.stdout.readline().strip()}"


def check(contenders, x):
    """The server's blend is that of its own engine with the neighbours of
    nprobe 8; the naive one finds the same."""
    ours = contenders["timbre, TCP, nprobe 8"](x)
    if not np.array_equal(ours, contenders["timbre, unix, nprobe 8"](x)):
        raise SystemExit("TCP and the Unix socket give other answers")
    theirs = contenders["Python service, nprobe 8"](x)
    off = np.linalg.norm(ours - theirs, axis=1) > 1e-2
    # Exact matches apart, where RVC's formula needs a clamp.
    if np.mean(off) > 0.02:
        raise SystemExit(f"{np.mean(off):.1%} of the frames are blended "
                         "otherwise than by faiss and numpy")


def measure(voice, tcp, unix, speaker, rounds, nprobe=8):
    process, address = naive(generate_stubs(), voice, nprobe)
    queries = str(voice.directory / "queries.npy")
    with contextlib.ExitStack() as stack:
        stack.callback(process.wait)
        stack.callback(process.terminate)

        def opened(call):
            stack.callback(call.close)
            return call

        contenders = {
            "local, nprobe 1, 1 thread": Local(voice, 1),
            "local, nprobe 1, 2 threads": Local(voice, 2),
            "timbre, TCP, nprobe 8": opened(Package(tcp, speaker, nprobe)),
            "timbre, unix, nprobe 8": opened(Package(unix, speaker, nprobe)),
            "timbre, TCP, C++ client": opened(
                Cpp(tcp, speaker, queries, nprobe)
            ),
            "timbre, TCP, plain grpcio": opened(Grpcio(tcp, speaker, nprobe)),
            "Python service, nprobe 8": opened(
                Grpcio(address, speaker, nprobe)
            ),
        }
        check(contenders, np.ascontiguousarray(voice.queries[:500]))
        return [
            row
            for case in ((16, 200), (16, 40, LIVE_PAUSE_S), (3000, 5))
            for row in turns(contenders, voice.queries, rounds, *case)
        ]


def turns(contenders, queries, rounds, frames, blocks, pause_s=0):
    while len(queries) < frames:
        queries = np.concatenate([queries, queries])
    figures = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            block_ms(call, queries, frames, max(1, blocks // 10))
            figures[name].append(
                block_ms(call, queries, frames, blocks, pause_s)
            )
    medians = {
        name: [statistics.median(each) for each in zip(*found)]
        for name, found in figures.items()
    }
    best = min(
        wall for name, (wall, _) in medians.items() if name.startswith("local")
    )
    for name, (wall, cpu) in medians.items():
        yield {"what": "worker", "contender": name, "frames": frames,
               "pause_s": pause_s, "ms": wall, "cpu_ms": cpu,
               "of_local": wall / best}
