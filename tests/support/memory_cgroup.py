"""A cgroup with a memory limit, of version 2 or 1, for a server."""

import contextlib
import os
import pathlib

ROOT = pathlib.Path("/sys/fs/cgroup")


@contextlib.contextmanager
def memory_cgroup(limit):
    """A command that runs another one within a new cgroup of `limit` bytes;
    None where this process may not make one. The processes have to be gone at
    the end."""
    version_two = (ROOT / "cgroup.controllers").exists()
    directory = (ROOT if version_two else ROOT / "memory") / (
        f"timbre-test-{os.getpid()}"
    )
    name = "memory.max" if version_two else "memory.limit_in_bytes"
    made = True
    try:
        directory.mkdir()
        (directory / name).write_text(str(limit))
    except OSError:
        made = False
    try:
        enter = f'echo $$ > {directory}/cgroup.procs && exec "$@"'
        yield ["sh", "-c", enter, "sh"] if made else None
    finally:
        with contextlib.suppress(OSError):
            directory.rmdir()
