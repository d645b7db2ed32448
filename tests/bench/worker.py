"""What a conversion worker waits for a block: its own faiss and numpy, as RVC
has them, or a server. All of it in one Python process, in turns."""

import queue
import statistics
import subprocess
import sys
import time

import numpy as np

import engine
import rvc

sys.path.insert(0, str(engine.ROOT / "tests" / "support"))

from stubs import generate_stubs  # noqa: E402

K = 8
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


class Remote:
    """One open stream of Python's grpcio."""

    def __init__(self, address, speaker, nprobe):
        import grpc
        from timbre.v1 import retrieval_pb2 as pb
        from timbre.v1 import retrieval_pb2_grpc as rpc

        self._pb = pb
        self._channel = grpc.insecure_channel(
            address, options=[("grpc.max_receive_message_length", -1)]
        )
        self._requests = queue.SimpleQueue()
        self._answers = rpc.RetrievalStub(self._channel).Blend(
            iter(self._requests.get, None)
        )
        self._first = {
            "speaker": speaker,
            "params": pb.BlendParams(
                index_rate=rvc.RATE, search=pb.SearchParams(k=K, nprobe=nprobe)
            ),
        }

    def __call__(self, x):
        frames = self._pb.Frames(data=x.tobytes(), dimension=x.shape[1])
        self._requests.put(self._pb.BlendRequest(frames=frames, **self._first))
        self._first = {}
        answer = next(self._answers)
        return np.frombuffer(answer.frames.data, np.float32).reshape(x.shape)

    def close(self):
        self._requests.put(None)
        list(self._answers)
        self._channel.close()


def block_ms(call, queries, frames, blocks):
    """Median of the wall time of a block."""
    times = []
    for i in range(blocks):
        first = i * frames % (len(queries) - frames + 1)
        x = np.ascontiguousarray(queries[first : first + frames])
        start = time.perf_counter()
        call(x)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


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
    directory = generate_stubs()
    sys.path.insert(0, directory)
    process, address = naive(directory, voice, nprobe)
    try:
        contenders = {
            "local, nprobe 1, 1 thread": Local(voice, 1),
            "local, nprobe 1, 2 threads": Local(voice, 2),
            "timbre, TCP, nprobe 8": Remote(tcp, speaker, nprobe),
            "timbre, unix, nprobe 8": Remote(unix, speaker, nprobe),
            "Python service, nprobe 8": Remote(address, speaker, nprobe),
        }
        check(contenders, np.ascontiguousarray(voice.queries[:500]))
        rows = []
        for frames, blocks in ((16, 200), (3000, 5)):
            queries = voice.queries
            while len(queries) < frames:
                queries = np.concatenate([queries, voice.queries])
            times = {name: [] for name in contenders}
            for _ in range(rounds):
                for name, call in contenders.items():
                    block_ms(call, queries, frames, max(1, blocks // 10))
                    times[name].append(block_ms(call, queries, frames, blocks))
            best = min(
                statistics.median(times[name]) for name in times
                if name.startswith("local")
            )
            for name, took in times.items():
                median = statistics.median(took)
                rows.append({"what": "worker", "contender": name,
                             "frames": frames, "ms": median,
                             "of_local": median / best})
        for name, call in contenders.items():
            if isinstance(call, Remote):
                call.close()
        return rows
    finally:
        process.terminate()
        process.wait()
