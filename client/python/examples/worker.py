"""A conversion worker, before and after.

    python worker.py SPEAKER TRAINING_FRAMES.npy SOURCE.npy OUT.npy

trains the index that RVC trains, converts SOURCE with it as RVC does, converts
it with the speaker of a Timbre server (TIMBRE_SERVER), writes that to OUT and
prints what differs. Needs `pip install timbre[compare]`.
"""

import os
import sys

import faiss
import numpy as np
import timbre
from timbre.compare import compare, table


def rvc_index(frames):
    """As RVC's training page makes it."""
    n = len(frames)
    lists = min(int(16 * np.sqrt(n)), n // 39)
    index = faiss.index_factory(frames.shape[1], f"IVF{lists},Flat")
    index.nprobe = 1
    index.train(frames)
    index.add(frames)
    return index, f"RVC: faiss {faiss.__version__}, IVF{lists},Flat, nprobe 1"


def main(speaker, training, source, out):
    index, name = rvc_index(np.load(training).astype("float32"))
    x = np.load(source)
    client = timbre.Client(os.environ.get("TIMBRE_SERVER", "127.0.0.1:7400"))

    # All that a worker needs:
    voice = client.speaker(speaker, dimension=x.shape[1])
    np.save(out, voice.blend(x, rate=0.75))

    print(table(compare(voice, index, x[:1000], name=name)))
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
