"""A cgroup with a CPU quota, of version 2 or 1, for a process to be measured
in. Needs root, and a hierarchy that may be written to."""

import contextlib
import os
import pathlib

ROOT = pathlib.Path("/sys/fs/cgroup")
PERIOD_US = 100_000


@contextlib.contextmanager
def cpu_cgroup(cpus):
    """The directory of a new cgroup that may use `cpus` processors. Its
    processes have to be gone at the end."""
    version_two = (ROOT / "cgroup.controllers").exists()
    directory = (ROOT if version_two else ROOT / "cpu") / (
        f"timbre-bench-{os.getpid()}"
    )
    quota_us = round(cpus * PERIOD_US)
    try:
        directory.mkdir()
        if version_two:
            (directory / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
        else:
            (directory / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (directory / "cpu.cfs_quota_us").write_text(str(quota_us))
    except OSError as error:
        with contextlib.suppress(OSError):
            directory.rmdir()
        raise SystemExit(f"quota: no cgroup with a CPU quota: {error}")
    try:
        yield directory
    finally:
        directory.rmdir()


def enter(directory):
    """Moves this process there."""
    (directory / "cgroup.procs").write_text(str(os.getpid()))
