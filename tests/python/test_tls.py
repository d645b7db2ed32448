"""TLS, with a proxy in front that ends it, and the token that it sees."""

import shutil
import socket
import ssl
import subprocess
import threading

import numpy as np
import pytest
import timbre

pytestmark = pytest.mark.skipif(
    not shutil.which("openssl"), reason="no openssl"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-keyout", "key.pem", "-out", "cert.pem", "-subj",
            "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        ],
        cwd=directory, check=True, capture_output=True,
    )
    return directory


@pytest.fixture
def front(server, certificate):
    """The address of a TLS proxy of the shared server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        sink.close()

    def accept():
        while True:
            try:
                near = context.wrap_socket(listener.accept()[0], True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", server.port))
            for ends in ((near, far), (far, near)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield "localhost:%d" % listener.getsockname()[1]
    listener.close()


def test_a_client_with_the_right_roots_is_served(
    front, certificate, voice, queries
):
    roots = certificate / "cert.pem"
    for tls in (roots, str(roots), roots.read_bytes()):
        with timbre.Client(front, tls=tls, token="secret") as client:
            with client.speaker("alice") as far:
                assert np.array_equal(far.blend(queries), voice.blend(queries))


def test_another_server_than_the_trusted_one_is_refused(front):
    with timbre.Client(front, tls=True, timeout_s=1) as client:
        with pytest.raises(timbre.Unavailable):
            client.server_info()


def test_plain_text_does_not_reach_a_tls_server(front):
    with timbre.Client(front, timeout_s=1) as client:
        with pytest.raises(timbre.Unavailable):
            client.server_info()
