"""What timbre load measures of a server with 20 voices of 100,000 frames: see
serving.py, whose second half this is."""

import json
import pathlib
import subprocess
import tempfile

import cpu_cgroup
import engine

BIN = engine.ROOT / "build" / "bin"


def timbre_load(server, scenario, *options, nprobe=4):
    """The report of one `timbre load`."""
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        subprocess.run(
            [BIN / "timbre", "load", scenario, f"--server={server.address}",
             "--voices=20", "--voice_frames=100000", f"--nprobe={nprobe}",
             f"--json={report}", *options],
            check=True, stdout=subprocess.DEVNULL,
        )
        return json.loads(report.read_text())


def load_row(what, report, phase=-1):
    phase = report["phases"][phase]
    group = phase["groups"][0]
    return {
        "what": what, "streams": group["streams"],
        "frames_per_second": group["frames_per_second"],
        "latency_ms": group["latency_ms"], "late": group["late"],
        "failed": group["failed"], "checked": group["checked"],
        # By when it was answered, not by when it was due.
        "served_per_second": group["frames_per_message"] / group["seconds"]
        * sum(h["count"] for h in phase["server"]["blend"]),
        "server_cores": phase["server"]["cpu_cores"],
        # From receipt to answer, of most messages' nprobe.
        "server_p99_ms": max(
            phase["server"]["blend"], key=lambda h: h["count"],
            default={"p99_ms": 0},
        )["p99_ms"],
        "generator_cores": phase["generator_cores"],
    }


def socket_floor(frames=16, dimension=256):
    """Two bare sockets that bounce as many bytes."""
    us = float(subprocess.run(
        [BIN / "socket_floor", str(frames * dimension * 4)],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout)
    return {"what": "bare sockets", "frames": frames, "us": us}


def load_roundtrip(server, seconds):
    yield socket_floor()
    one = ("offline", "--streams=1", "--frames=16", f"--duration={seconds}s")
    yield load_row("round trip", timbre_load(server, *one, nprobe=8))
    yield load_row("round trip, a stream each",
                   timbre_load(server, *one, "--new_streams", nprobe=8))
    yield load_row(
        "round trip after 2 s",
        timbre_load(server, "idle", "--streams=5", "--frames=16",
                    f"--duration={seconds}s", nprobe=8),
    )


def load_offline(server, seconds):
    yield load_row(
        "offline", timbre_load(server, "offline", f"--duration={seconds}s")
    )


def load_live(server, seconds):
    for streams in (500, 1000, 2000):
        yield load_row("live", timbre_load(
            server, "live", f"--streams={streams}", f"--duration={seconds}s"
        ))
    report = timbre_load(server, "step", "--streams=1000", "--step=1.1")
    yield load_row("capacity", report, phase=max(0, len(report["phases"]) - 2))


def load_overload(server, seconds):
    """Ten times what the server can do: with all lists probed, so that the
    generator beside it needs little of the two cores."""
    peak = load_row("peak, all lists", timbre_load(
        server, "offline", "--streams=8", "--frames=16",
        f"--duration={seconds}s", nprobe=1024))
    yield peak
    streams = round(10 * peak["frames_per_second"] / 16 / 4)
    flood = load_row("ten times that", timbre_load(
        server, "live", f"--streams={streams}", f"--duration={seconds}s",
        "--warm_up=5s", nprobe=1024))
    yield flood | {
        "goodput": flood["served_per_second"] / peak["served_per_second"]
    }


def alone_and_beside(server, seconds, streams, cold_voices, what):
    """Live streams alone, and beside builds and so many voices being opened."""
    report = timbre_load(
        server, "mixed", f"--streams={streams}", "--offline_streams=0",
        "--build_frames=200000", f"--cold_voices={cold_voices}",
        f"--duration={seconds}s",
    )
    quiet = load_row("live alone", report, phase=0)
    mixed = load_row(f"live beside {what}", report, phase=1)
    ratio = mixed["latency_ms"]["p99"] / quiet["latency_ms"]["p99"]
    return quiet, mixed | {"ratio": ratio}


def load_mixed(server, seconds):
    """The pair of phases whose ratio is the median of five: a p99 of seconds
    rests on some hundred messages."""
    pairs = []
    for _ in range(5):
        server.stop()  # so that voices are closed
        server.start()
        pairs.append(
            alone_and_beside(server, seconds, 300, 10, "a build and loads")
        )
    pairs.sort(key=lambda pair: pair[1]["ratio"])
    quiet, mixed = pairs[len(pairs) // 2]
    yield quiet
    yield mixed | {"ratios": [pair[1]["ratio"] for pair in pairs]}


def load_quota(server, seconds):
    """Builds have to leave searches something of a small quota."""
    for cpus in (1, 1.5):
        server.stop()
        with cpu_cgroup.cpu_cgroup(cpus) as cgroup:
            server.start(cgroup)
            try:
                yield from alone_and_beside(
                    server, seconds, 100, 0, f"a build, quota {cpus}"
                )
            finally:
                server.stop()
    server.start()


ALL = {
    "roundtrip": load_roundtrip,
    "offline": load_offline,
    "live": load_live,
    "overload": load_overload,
    "mixed": load_mixed,
    "quota": load_quota,
}


def line(row):
    """One row as text."""
    if row["what"] == "bare sockets":
        return f"bare sockets, {row['frames']} frames: p50 {row['us']:.0f} us"
    ms = row["latency_ms"]
    text = (
        f"{row['what']}: {row['streams']} streams, "
        f"{row['frames_per_second']:.0f} frames/s, p50 {ms['p50']:.2f}, "
        f"p99 {ms['p99']:.2f}, p99.9 {ms['p99.9']:.2f} ms; "
        f"failed {sum(row['failed'].values())}, late {row['late']}; "
        f"server {row['server_cores']:.2f} cores, its own p99"
        f" {row['server_p99_ms']:.2f} ms"
    )
    if "ratio" in row:
        text += f"; p99 {row['ratio']:.1f} times that of live alone"
    if "ratios" in row:
        text += f" ({row['ratios'][0]:.1f}-{row['ratios'][-1]:.1f})"
    if "goodput" in row:
        text += f"; goodput {row['goodput']:.0%} of the peak"
    return text
