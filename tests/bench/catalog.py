"""A server with more voices than it may hold open.

10,000 voices on the disk, log-normal around 3,000 frames, some of 100,000;
streams that come and go over them by Zipf's law, at the pace of live ones: 60
at a time, each for 20 to 50 blocks of 16 frames, one every 250 ms. Budgets of
2, 10 and 100 % of what all voices would hold open, in turn. Before it is
measured a server opens every voice once, the most popular last, then some more
by the same law, so that it is as after hours of work, not as after its start.

  start   from exec to SERVING, with 10 and 10,000 voices
  budget  what streams wait for their first and their later answers, how many
          find their voice open, openings and closings, memory
  sweep   live streams of four large voices beside one that opens all voices,
          one after the other: p99 against that without it, in turn

Queries are stored rows with noise: whether they are found, and at the distance
that they have, is checked of one block in ten. Files are shared by voices
(catalog_voices.py), which are made once, into build/bench/catalog (some
minutes).
"""

import argparse
import asyncio
import json
import pathlib
import statistics
import subprocess
import sys
import time

import grpc
import numpy as np

import catalog_report as report
import catalog_voices as voices
import catalog_watch as watch
from catalog_streams import Popularity, Streams
from catalog_sweep import measure_sweep
from timbred import BIN, Timbred, wait_for

import timbre

HEALTH = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"  # HealthCheckResponse
BUDGET_FLAG = "--max_resident_bytes"


def has_budgets():
    told = subprocess.run([BIN / "timbred", "--help"], text=True,
                          stdout=subprocess.PIPE).stdout
    return BUDGET_FLAG in told


def server_of(count, options, *flags):
    return Timbred(voices.prepare_voices(count), "--log_level=error", *flags,
                   *options.timbred)


def percentiles(values):
    if not values:
        return {"p50": float("nan"), "p99": float("nan")}
    return {"p50": float(np.percentile(values, 50)),
            "p99": float(np.percentile(values, 99))}


def start_once(server):
    """Milliseconds to SERVING, and the anonymous memory then."""
    begun = time.perf_counter()
    server.launch()
    while not server.has_begun():
        time.sleep(0.0005)
    server.read_ports()
    with grpc.insecure_channel(server.address) as channel:
        check = channel.unary_unary(HEALTH)
        wait_for(lambda: check(b"", wait_for_ready=True) == SERVING)
        took = 1e3 * (time.perf_counter() - begun)
    memory = watch.anonymous_bytes(server.process.pid)
    server.stop()
    return took, memory


def measure_start(count, options):
    server = server_of(count, options)
    runs = [start_once(server) for _ in range(options.rounds + 1)]
    times, memory = zip(*runs)
    return {"what": "start", "voices": count, "first_ms": times[0],
            "ms": statistics.median(times[1:]),
            "anonymous_bytes": statistics.median(memory)}


def held_by_all(options):
    """What all voices would hold open: that of one of each template, as many
    times as there are voices of it."""
    kinds = voices.templates_of(options.voices)
    total = 0
    flags = [f"{BUDGET_FLAG}=0"] if has_budgets() else []
    server = server_of(options.voices, options, *flags).start()
    try:
        client = timbre.Client(server.address)
        before = watch.Metrics(server.metrics_port)
        for kind, first in zip(*np.unique(kinds, return_index=True)):
            client.warm(voices.voice_name(first))
            after = watch.Metrics(server.metrics_port)
            grown = (after.total("timbre_resident_bytes")
                     - before.total("timbre_resident_bytes"))
            total += grown * int(np.sum(kinds == kind))
            before = after
        client.close()
    finally:
        server.stop()
    return total


def measure_budget(share, all_bytes, options):
    budget = int(share * all_bytes)
    budgeted = has_budgets()
    flags = [f"{BUDGET_FLAG}={budget}"] if budgeted else []
    server = server_of(options.voices, options, *flags).start()
    try:
        idle = watch.anonymous_bytes(server.process.pid)
        row = asyncio.run(drive(server, options))
    finally:
        server.stop()
    most = max(anonymous for _, anonymous, _ in row["memory"])
    held = [held for _, _, held in row["memory"] if held is not None]
    return {
        "what": "budget", "share": share, "share_bytes": budget,
        "budgeted": budgeted, "anonymous_idle_bytes": idle,
        "anonymous_max_bytes": most, "held_max_bytes": max(held, default=None),
        "anonymous_of_budget": (most - idle) / budget if budgeted else None,
        **row,
    }


async def drive(server, options):
    """Warms the server up, then lets the streams run."""
    random = np.random.default_rng(options.seed)
    popularity = Popularity(options.voices, options.zipf, random)
    memory = []
    async with grpc.aio.insecure_channel(server.address) as channel:
        streams = Streams(channel, voices.templates_of(options.voices),
                          voices.load_frames(), popularity, random)
        sampling = asyncio.ensure_future(watch.sample_memory(server, memory))
        try:
            await streams.warm(options.warm_up)
            row = await run_streams(server, streams, options)
        finally:
            sampling.cancel()
    return {**row, "memory": memory}


async def run_streams(server, streams, options):
    before = watch.Metrics(server.metrics_port)
    cpu = watch.cpu_seconds(server.process.pid), time.process_time()
    start = time.monotonic()
    heard = await streams.run(options.streams, options.seconds)
    seconds = time.monotonic() - start
    after = watch.Metrics(server.metrics_port)
    per_second = [
        watch.rate(before, after, name, label, seconds)
        for name, label in (("timbre_opens_total", "result"),
                            ("timbre_closes_total", "reason"))
    ]
    return {
        "streams": options.streams, "seconds": seconds, "starts": heard.starts,
        "found_open": watch.found_open(before, after, heard.starts),
        "opens_per_second": per_second[0], "closes_per_second": per_second[1],
        "first_ms": percentiles(heard.first_ms),
        "later_ms": percentiles(heard.later_ms),
        "late_ms": percentiles(heard.late_ms),
        "blocks": len(heard.first_ms) + len(heard.later_ms),
        "failed": dict(heard.failed),
        "checked": heard.checked, "found": heard.found, "wrong": heard.wrong,
        "server_cores":
            (watch.cpu_seconds(server.process.pid) - cpu[0]) / seconds,
        "generator_cores": (time.process_time() - cpu[1]) / seconds,
    }


def start_rows(options):
    for count in options.start_voices:
        row = measure_start(count, options)
        print(report.start_line(row), flush=True)
        yield row


def budget_rows(options):
    all_bytes = held_by_all(options)
    print(f"all {options.voices:,} voices would hold"
          f" {report.mib(all_bytes)} MiB", flush=True)
    shares = options.budgets
    if not has_budgets():
        print(f"this server has no {BUDGET_FLAG}: measured without a budget")
        shares = [1.0]
    yield {"what": "all", "voices": options.voices, "held_bytes": all_bytes}
    print(report.BUDGET_HEADER)
    for share in shares:
        row = measure_budget(share, all_bytes, options)
        print(report.budget_line(row), flush=True)
        print(report.generator_line(row), file=sys.stderr)
        yield row


def sweep_rows(options):
    budget = int(0.1 * held_by_all(options))
    flags = [f"{BUDGET_FLAG}={budget}"] if has_budgets() else []
    server = server_of(options.voices, options, *flags).start()
    try:
        row = measure_sweep(server, options.voices, 10, options.rounds)
    finally:
        server.stop()
    print(report.sweep_line(row), flush=True)
    yield row


PARTS = ("start", "budget", "sweep")


def numbers(kind):
    def parse(text):
        return [kind(part) for part in text.split(",")]

    parse.__name__ = f"list of {kind.__name__}"
    return parse


def shares(text):
    found = numbers(float)(text)
    if not all(0 < share <= 1 for share in found):
        raise argparse.ArgumentTypeError(f"{text}: above 0 and up to 1, 0.1")
    return found


def parts(text):
    found = text.split(",")
    if not set(found) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"{text}: some of {','.join(PARTS)}")
    return found


def parse_options():
    parser = argparse.ArgumentParser(
        prog="script/bench catalog", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", help="write the rows to this file")
    parser.add_argument("--plot", help="write an SVG to this file")
    parser.add_argument("--only", type=parts, default=list(PARTS),
                        help="some of start,budget,sweep")
    parser.add_argument("--voices", type=int, default=10_000)
    parser.add_argument("--start_voices", type=numbers(int),
                        default=[10, 10_000],
                        help="default 10,10000; 100000 takes a minute to make")
    parser.add_argument("--rounds", type=int, default=5, help="of start and sweep")
    parser.add_argument("--budgets", type=shares, default=[0.02, 0.1, 1.0],
                        help="shares of what all voices would hold, above 0"
                        " and up to 1; default 0.02,0.1,1")
    parser.add_argument("--streams", type=int, default=60, help="at a time")
    parser.add_argument("--seconds", type=float, default=60,
                        help="of each budget")
    parser.add_argument("--zipf", type=float, default=1.0, help="its exponent")
    parser.add_argument("--warm_up", type=int, default=2000,
                        help="voices that are asked for before, by the same"
                        " law, after each was once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timbred", action="append", default=[],
                        help="a flag for the server, --timbred=--io_threads=2")
    return parser.parse_args()


def main():
    options = parse_options()
    rows = []
    for name, measure in (
        ("start", start_rows), ("budget", budget_rows), ("sweep", sweep_rows)
    ):
        if name in options.only:
            rows += measure(options)
    if options.json:
        document = {"command": " ".join(sys.argv), "rows": rows}
        pathlib.Path(options.json).write_text(json.dumps(document, indent=1))
    if options.plot:
        report.plot(rows, options.plot)
    wrong = sum(row.get("wrong", 0) for row in rows)
    if wrong:
        raise SystemExit(f"{wrong} answers are wrong")


if __name__ == "__main__":
    main()
