"""Python stubs of the contract, generated on the spot."""

import atexit
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def generate_stubs() -> str:
    """Into a directory that goes with the process: for sys.path."""
    out = tempfile.mkdtemp(prefix="timbre-stubs-")
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    subprocess.run(
        [
            "protoc",
            f"-I{ROOT / 'proto'}",
            f"--python_out={out}",
            f"--grpc_out={out}",
            f"--plugin=protoc-gen-grpc={shutil.which('grpc_python_plugin')}",
            "timbre/v1/retrieval.proto",
            "timbre/rpc/status.proto",
        ],
        check=True,
    )
    return out
