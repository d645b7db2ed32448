"""HTTP/2 without a client library."""

import select
import socket
import struct
import time

import h2.config
import h2.connection


class RawCall:
    """A call by hand over HTTP/2: to break where no client library can, and
    to see what no client library shows."""

    def __init__(
        self, port, method="Retrieval/Build", package="timbre.v1", headers=()
    ):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(header_encoding="utf-8")
        )
        self.connection.initiate_connection()
        self.connection.send_headers(
            1,
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", f"/{package}.{method}"),
                (":authority", "localhost"),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
                *headers,
            ],
        )
        self.flush()

    def flush(self):
        self.socket.sendall(self.connection.data_to_send())

    @staticmethod
    def framed(message):
        data = message.SerializeToString()
        return b"\0" + struct.pack(">I", len(data)) + data

    def send(self, data, end=False):
        for i in range(0, max(len(data), 1), 16_000):
            piece = data[i : i + 16_000]
            last = i + 16_000 >= len(data)
            self.connection.send_data(1, piece, end_stream=end and last)
        self.flush()

    def ping(self):
        self.connection.ping(b"12345678")
        self.flush()

    def events(self, seconds):
        """What the server sends meanwhile; pings are answered."""
        found = []
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                break
            data = self.socket.recv(1 << 16)
            if not data:
                break
            found += self.connection.receive_data(data)
            self.flush()
        return found
