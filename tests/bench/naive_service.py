"""The service that a user would write in an afternoon: Python's grpcio and
faiss. What script/bench serving compares with; prints its port.

    naive_service.py STUBS INDEX FRAMES NPROBE
"""

import concurrent.futures
import sys

import faiss
import grpc
import numpy as np

from rvc import mix

sys.path.insert(0, sys.argv[1])

from timbre.v1 import retrieval_pb2 as pb  # noqa: E402
from timbre.v1 import retrieval_pb2_grpc as rpc  # noqa: E402

K = 8


class Retrieval(rpc.RetrievalServicer):
    def __init__(self, index, frames):
        self._index, self._frames = index, frames

    def Blend(self, requests, context):
        for request in requests:
            x = np.frombuffer(request.frames.data, np.float32)
            x = x.reshape(-1, request.frames.dimension)
            distances, ids = self._index.search(x, K)
            out = mix(x, distances, self._frames[ids]).astype(np.float32)
            yield pb.BlendResponse(
                frames=pb.Frames(
                    data=out.tobytes(), dimension=request.frames.dimension
                )
            )


def main():
    index = faiss.read_index(sys.argv[2])
    index.k_factor = 4
    faiss.extract_index_ivf(index.base_index).nprobe = int(sys.argv[4])
    frames = np.load(sys.argv[3]).astype(np.float32)
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(8),
        options=[("grpc.max_receive_message_length", -1)],
    )
    rpc.add_RetrievalServicer_to_server(Retrieval(index, frames), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
