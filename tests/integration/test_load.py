"""timbre load against a real server: every scenario, and what it writes."""

import json
import re
import subprocess

import pytest

from conftest import BIN

VOICES = ("--voices=2", "--voice_frames=20000", "--dimension=16")
SHORT = ("--warm_up=100ms", "--duration=1s")


def load(server, scenario, *options, code=0, defaults=(*VOICES, *SHORT)):
    done = subprocess.run(
        [BIN / "timbre", "load", scenario,
         f"--server=127.0.0.1:{server.port}", *defaults, *options],
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == code, done.stderr
    return done


def report(server, tmp_path, scenario, *options):
    path = tmp_path / "report.json"
    load(server, scenario, f"--json={path}", *options)
    return json.loads(path.read_text())


def sound(group):
    assert group["answered"] > 0
    assert group["failed"] == {}
    assert group["checked"] > 0 and group["wrong"] == 0
    ms = group["latency_ms"]
    assert 0 < ms["p50"] <= ms["p90"] <= ms["p95"] <= ms["p99"]
    assert ms["p99"] <= ms["p99.9"] <= ms["max"]


def test_live_sends_what_it_offers_and_reads_the_servers_histograms(
    server, tmp_path
):
    made = report(server, tmp_path, "live", "--streams=20", "--period=100ms",
                  "--nprobe=2")
    (phase,) = made["phases"]
    (group,) = phase["groups"]
    sound(group)
    assert group["offered_per_second"] == pytest.approx(200)
    assert group["answered"] == pytest.approx(200, abs=2)
    (histogram,) = phase["server"]["blend"]
    assert histogram["labels"] == 'nprobe="2"'
    # The scrapes are not at the very edges of the measurement.
    assert histogram["count"] == pytest.approx(200, rel=0.25)
    assert 0 < histogram["p50_ms"] <= histogram["p99_ms"]


def test_poisson_searches_as_streams_of_their_own(server, tmp_path):
    made = report(server, tmp_path, "live", "--streams=10", "--period=50ms",
                  "--arrivals=poisson", "--rpc=search", "--new_streams")
    sound(made["phases"][0]["groups"][0])
    assert made["phases"][0]["server"]["search"]


def test_offline_keeps_its_streams_busy(server, tmp_path):
    made = report(server, tmp_path, "offline", "--frames=200",
                  "--in_flight=2")
    group = made["phases"][0]["groups"][0]
    sound(group)
    assert group["offered_per_second"] == 0


def test_idle_pauses_between_messages(server, tmp_path):
    made = report(server, tmp_path, "idle", "--streams=3", "--gap=400ms")
    group = made["phases"][0]["groups"][0]
    assert 6 <= group["answered"] <= 9
    assert group["failed"] == {}


def test_mixed_measures_live_twice(new_server, tmp_path):
    server = new_server()
    load(server, "live", "--streams=1")  # builds the voices
    server.stop()
    server.start()
    made = report(server, tmp_path, "mixed", "--streams=10",
                  "--build_frames=2000", "--cold_voices=1")
    quiet, mixed = made["phases"]
    sound(quiet["groups"][0])
    live, offline = mixed["groups"]
    sound(live)
    sound(offline)
    assert offline["name"] == "offline"
    builds = re.search(r"(\d+) builds.* (\d+) voices opened",
                       mixed["notes"][0])
    assert int(builds[1]) >= 1 and int(builds[2]) == 1
    assert not server.versions("load-build")


def test_mixed_says_so_where_nothing_can_be_built(new_server):
    server = new_server()
    load(server, "live", "--streams=1")
    server.stop()
    full = new_server("--min_free_disk=1000000000000000")
    out = load(full, "mixed", "--streams=10", "--cold_voices=1", code=5)
    assert "--min_free_disk" in out.stderr


def test_step_stops_where_the_objective_breaks(server, tmp_path):
    made = report(server, tmp_path, "step", "--streams=10", "--step=2",
                  "--objective=1us")
    assert len(made["phases"]) == 1
    assert made["capacity_streams"] == 0


def test_a_latency_budget_that_cannot_be_kept_shows_as_degraded(
    server, tmp_path
):
    made = report(server, tmp_path, "live", "--streams=5",
                  "--latency_budget=1us")
    group = made["phases"][0]["groups"][0]
    assert group["degraded"]["passed_through"] == group["answered"] > 0


def test_the_page_is_complete_in_itself(server, tmp_path):
    page = tmp_path / "report.html"
    done = load(server, "live", "--streams=5", f"--html={page}")
    assert "answered after" in done.stdout
    text = page.read_text()
    assert text.count("<svg") == text.count("</svg>") >= 2
    assert "http" not in text and "<script" not in text
    assert "nan" not in text.lower().replace("nano", "")


def test_overload_is_counted_by_its_reason(new_server, tmp_path):
    server = new_server("--max_queued_frames=10", "--worker_threads=1")
    made = report(server, tmp_path, "live", "--streams=40", "--frames=50",
                  "--period=20ms", "--nprobe=1000")
    group = made["phases"][0]["groups"][0]
    assert set(group["failed"]) <= {"OVERLOADED", "BACKING_OFF"}
    assert group["failed"]["OVERLOADED"] > 0
    assert group["answered"] > 0


def test_what_is_wrong_is_said(server):
    missing = load(server, "live", "--speaker=nobody", code=4)
    assert "--speaker=nobody" in missing.stderr
    assert "1x" in load(server, "live", "--period=1x", code=2).stderr
    assert "100ms" in load(
        server, "live", code=2, defaults=("--duration=0s",)
    ).stderr
    wider = load(server, "live", code=3, defaults=("--dimension=32",))
    assert "--dimension: 32" in wider.stderr and "load-00" in wider.stderr


def test_a_run_without_an_answer_fails_as_its_messages_did(server):
    done = load(server, "live", "--rpc=search", "--k=1025", code=3)
    assert re.search(r"\d+ x INVALID_FIELD: params\.k: 1025", done.stdout)
    assert "params.k: 1025" in done.stderr


def test_a_server_that_is_away_is_said():
    away = subprocess.run(
        [BIN / "timbre", "load", "live", "--server=127.0.0.1:1"],
        capture_output=True, text=True, timeout=60,
    )
    assert away.returncode == 5
