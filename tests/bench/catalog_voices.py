"""Data directories of thousands of voices, made of a few dozen: see catalog.py.

A voice is a directory with a manifest that names it, and hard links of the
frames and the index of one of the templates, which a server has built. So
100,000 voices need little of the disk, and the page cache holds
the files of all: what is measured is opening, not the disk.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

import numpy as np

import engine
import worker  # noqa: F401  makes tests/support importable
from timbred import BIN, Timbred

HOME = engine.VOICES / "catalog"
DIMENSION = 256
# Of a voice; log-normal.
MEDIAN_FRAMES, SIGMA = 3000, 0.8
COMMON = 40  # templates: as many quantiles of the above
LARGE_FRAMES = 100_000
LARGE = 2  # templates
LARGE_ONE_IN = 1000  # voices
SEED = 20


def template_frames():
    """Frames of each template."""
    normal = statistics.NormalDist()
    z = [normal.inv_cdf((i + 0.5) / COMMON) for i in range(COMMON)]
    common = [round(MEDIAN_FRAMES * float(np.exp(SIGMA * x))) for x in z]
    return common + [LARGE_FRAMES] * LARGE


def template_name(number):
    return f"template-{number:02d}"


def voice_name(number):
    return f"voice-{number:06d}"


def templates_of(count):
    """Which template each of `count` voices has; of the first N the same,
    whatever `count`."""
    random = np.random.default_rng(SEED)
    kinds = random.random((count, 2))
    large = kinds[:, 0] < 1 / LARGE_ONE_IN
    among = np.where(large, LARGE, COMMON)
    return np.where(large, COMMON, 0) + (kinds[:, 1] * among).astype(int)


def template_directory(number):
    """Of the one version of it."""
    name = template_name(number)
    return HOME / "templates" / "data" / "speakers" / name / "1"


def load_frames():
    """The stored frames of every template, mapped."""
    return [
        np.load(template_directory(i) / "total_fea.npy", mmap_mode="r")
        for i in range(COMMON + LARGE)
    ]


def build_template(server, number, frames):
    features = server.directory / "features"
    shutil.rmtree(features, ignore_errors=True)
    for arguments in (
        ["synth", features, f"--frames={frames}", f"--voice={number + 1}",
         f"--dimension={DIMENSION}"],
        ["build", template_name(number), features,
         f"--server={server.address}"],
    ):
        subprocess.run([BIN / "timbre", *arguments], check=True,
                       stdout=subprocess.DEVNULL)
    shutil.rmtree(features)


def prepare_templates():
    """Builds those that are not there yet."""
    directory = HOME / "templates"
    directory.mkdir(parents=True, exist_ok=True)
    wanted = [
        (i, frames) for i, frames in enumerate(template_frames())
        if not template_directory(i).exists()
    ]
    if not wanted:
        return
    server = Timbred(directory, "--log_level=error").start()
    try:
        for i, frames in wanted:
            print(f"building {template_name(i)}, {frames:,} frames",
                  file=sys.stderr)
            build_template(server, i, frames)
    finally:
        server.stop()


class Template:
    """What the copies of a voice are made of."""

    def __init__(self, number):
        self._version = template_directory(number)
        self._state = self._version.parent / "state.json"
        self._manifest = json.loads(
            (self._version / "manifest.json").read_text()
        )
        self._files = [file["name"] for file in self._manifest["files"]]

    def copy(self, speakers, name):
        version = speakers / name / "1"
        version.mkdir(parents=True)
        for file in self._files:
            os.link(self._version / file, version / file)
        # A server replaces this one as a whole.
        os.link(self._state, speakers / name / "state.json")
        (version / "manifest.json").write_text(
            json.dumps({**self._manifest, "speaker": name})
        )


def prepare_voices(count):
    """A directory for Timbred with so many voices, made if need be."""
    directory = HOME / f"{count}-voices"
    if directory.exists():
        return directory
    prepare_templates()
    print(f"making {count:,} voices", file=sys.stderr)
    making = pathlib.Path(f"{directory}.making")
    shutil.rmtree(making, ignore_errors=True)
    speakers = making / "data" / "speakers"
    speakers.mkdir(parents=True)
    templates = [Template(i) for i in range(COMMON + LARGE)]
    for number, kind in enumerate(templates_of(count)):
        templates[kind].copy(speakers, voice_name(number))
    # Last: with it the directory is Timbre's.
    shutil.copy(HOME / "templates" / "data" / "FORMAT", making / "data")
    making.rename(directory)
    return directory
