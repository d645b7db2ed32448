"""The server around the engine: loading, starting, and CPU per frame.

  open    a voice of 100,000 frames, from the page cache, by the engine
  start   from the start of the process to the first blended frame
  cpu     user and system time of the server per blended frame, gRPC included,
          in messages of 1,000 frames, beside what faiss's search alone takes
          of the same queries, in turns

  worker  a block of 16 (in a loop, and every 50 ms) and of 3,000 frames, from
          Python: RVC's local faiss and
          numpy (nprobe 1), this server over TCP and a Unix socket (nprobe 8),
          and a service of Python's grpcio and faiss (nprobe 8), in turns

and with 20 voices of 100,000 frames, by timbre load:

  roundtrip  one 16-frame Blend at a time; as a stream of its own; after
             pauses; and two bare sockets that bounce as many bytes
  offline    messages of 1,000 frames
  live       500, 1,000 and 2,000 streams of 16 frames every 250 ms, and how
             many hold a p99 of 10 ms
  overload   ten times as many frames as the server can answer
  mixed      300 streams, alone and beside a Build and voices being opened
  quota      100 streams, alone and beside a Build, the server in a cgroup that
             may use 1 or 1.5 processors; as root

Medians over rounds. Needs what script/bench engine needs. The voices of the
load are built once, into build/bench/serving (some minutes).
"""

import argparse
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import cpu_cgroup
import engine
import loads
import worker  # also makes tests/support importable
from timbred import wait_for

BIN = engine.ROOT / "build" / "bin"
MESSAGE = 1000
MESSAGES = 100
NPROBES = (1, 4, 16)
SPEAKER = "bench"


def ask(process, **command):
    process.stdin.write(json.dumps(command) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def pipe(*command):
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


class Server:
    """timbred with the benchmark's frames as its one voice."""

    def __init__(self, directory, voice, flags=()):
        directory = directory.resolve()
        self.socket = f"unix:{directory / 'socket'}"
        self._ports = directory / "ports"
        self.command = [
            str(BIN / "timbred"), f"--data_dir={directory / 'data'}",
            f"--listen=127.0.0.1:0,unix:{directory / 'socket'}",
            "--metrics_listen=127.0.0.1:0",
            f"--port_file={self._ports}", "--min_free_disk=0",
            "--log_level=error", *flags,
        ]
        self.queries = str(voice.directory / "queries.npy")
        self.process = None

    def build(self, voice):
        subprocess.run(
            [BIN / "timbre", "build", SPEAKER,
             str(voice.directory / "total_fea.npy"), "--storage=float16",
             f"--index_factory=IVF{voice.nlist},PQ{voice.dimension // 2}x4fs,RFlat",
             f"--server={self.address}"],
            check=True, stdout=subprocess.DEVNULL,
        )

    def start(self, cgroup=None):
        self._ports.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            self.command,
            preexec_fn=cgroup and functools.partial(cpu_cgroup.enter, cgroup),
        )
        wait_for(
            lambda: self._ports.exists() or self.process.poll() is not None
        )
        if self.process.poll() is not None:
            raise SystemExit("timbred did not start")
        ports = dict(
            line.split("=") for line in self._ports.read_text().split()
        )
        self.address = f"127.0.0.1:{ports['grpc']}"

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        self.process.wait()

    def cpu_seconds(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = text.rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def first_answer_ms(self):
        """REQUIRES: stopped."""
        output = subprocess.run(
            [BIN / "serving_bench", "start", self._ports, SPEAKER,
             self.queries, *self.command],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout
        return json.loads(output)["ms"]


def measure_open(voice, rounds):
    process = pipe(BIN / "engine_bench", "run", voice.directory)
    process.stdout.readline()
    times = [ask(process, who="open")["ms"] for _ in range(rounds + 1)]
    process.stdin.close()
    process.wait()
    return {"what": "open", "first_ms": times[0],
            "ms": statistics.median(times[1:])}


def measure_start(server, rounds):
    server.stop()
    times = [server.first_answer_ms() for _ in range(rounds + 1)]
    server.start()
    return {"what": "start", "first_ms": times[0],
            "ms": statistics.median(times[1:])}


def measure_cpu(server, client, faiss, nprobe, rounds):
    command = {"nprobe": nprobe, "batch": MESSAGE, "messages": MESSAGES}
    ask(client, **command)
    ours, wall, theirs = [], [], {0: [], 1: []}
    for _ in range(rounds):
        before = server.cpu_seconds()
        wall.append(ask(client, **command)["us"])
        used = server.cpu_seconds() - before
        ours.append(1e6 * used / (MESSAGE * MESSAGES))
        for blas, times in theirs.items():
            faiss.run(nprobe, MESSAGE, engine.QUERIES, False, blas)
            times.append(
                faiss.run(nprobe, MESSAGE, engine.QUERIES, False, blas)[0]
            )
    best = min(theirs.values(), key=statistics.median)
    return {
        "what": "cpu", "nprobe": nprobe,
        "server_cpu_us": statistics.median(ours),
        "wall_us": statistics.median(wall),
        "faiss_us": statistics.median(best),
        "ratio": statistics.median(b / a for a, b in zip(ours, best)),
    }


def line(row):
    if row["what"] == "bare sockets" or "latency_ms" in row:
        return loads.line(row)
    if row["what"] == "worker":
        pace = f" every {1e3 * row['pause_s']:.0f} ms" if row["pause_s"] else ""
        return (f"{row['frames']} frames{pace}, {row['contender']}: "
                f"{row['ms']:.2f} ms, {row['of_local']:.2f} of local; "
                f"client's CPU {row['cpu_ms']:.2f} ms")
    if row["what"] == "cpu":
        return (
            f"nprobe {row['nprobe']}: server {row['server_cpu_us']:.1f} us of "
            f"CPU a frame ({row['wall_us']:.1f} us of wall time), faiss's "
            f"search {row['faiss_us']:.1f} us: {row['ratio']:.1f} times"
        )
    return f"{row['what']}: {row['ms']:.0f} ms (first {row['first_ms']:.0f})"


def engine_parts(parts, options):
    """Rows of what runs with the engine's voice."""
    rounds = options.rounds
    voice = engine.Voice(100_000, options.dimension, 1024)
    if "open" in parts:
        yield measure_open(voice, rounds)
    if not parts & {"start", "cpu", "worker"}:
        return
    with tempfile.TemporaryDirectory() as directory:
        server = Server(pathlib.Path(directory), voice, options.timbred)
        try:
            server.start()
            server.build(voice)
            if "start" in parts:
                yield measure_start(server, rounds)
            if "cpu" in parts:
                yield from cpu_rows(server, voice, rounds)
            if "worker" in parts:
                yield from worker.measure(voice, server.address, server.socket,
                                          SPEAKER, rounds)
        finally:
            server.stop()


def cpu_rows(server, voice, rounds):
    client = pipe(BIN / "serving_bench", "blend", server.address, SPEAKER,
                  server.queries)
    try:
        faiss = engine.PythonFaiss(voice)
    except ImportError:
        raise SystemExit("no faiss-cpu: nothing to compare with")
    for nprobe in NPROBES:
        yield measure_cpu(server, client, faiss, nprobe, rounds)
    client.stdin.close()
    client.wait()


def load_parts(parts, options):
    """Rows of what timbre load runs."""
    if not parts & set(loads.ALL):
        return
    directory = engine.VOICES / "serving"
    directory.mkdir(parents=True, exist_ok=True)
    server = Server(directory, engine.Voice(100_000, 256, 1024),
                    options.timbred)
    try:
        server.start()
        for name, run in loads.ALL.items():
            if name in parts:
                yield from run(server, options.seconds)
    finally:
        server.stop()


def main():
    every = ["open", "start", "cpu", "worker", *loads.ALL]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="write the rows to this file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dimension", type=int, default=256,
                        choices=[256, 768],
                        help="of the frames of open, start, cpu and worker"
                        " (default 256: RVC v1; RVC v2 and Applio have 768)")
    parser.add_argument("--timbred", action="append", default=[],
                        help="a flag for the server, --timbred=--idle_poll=0s")
    parser.add_argument("--seconds", type=int, default=30,
                        help="of each measurement under load (default 30)")
    parser.add_argument("--only",
                        default=",".join(p for p in every if p != "quota"),
                        help="of " + ",".join(every) + "; all but quota")
    options = parser.parse_args()
    parts = set(options.only.split(","))
    if not parts <= set(every):
        parser.error(f"--only={options.only}: of {','.join(every)}")
    rows = []
    for row in [engine_parts(parts, options), load_parts(parts, options)]:
        for one in row:
            rows.append(one)
            print(line(one), flush=True)
    if options.json:
        document = {"command": " ".join(sys.argv), "rows": rows}
        pathlib.Path(options.json).write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
