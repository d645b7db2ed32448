"""HTTP/2 proxies in front of a server, each a process of its own on loopback.

Every kind comes in two settings: `Settings.MINIMAL` has what the proxy wants to
speak gRPC and nothing else, so all its defaults; `Settings.DOCUMENTED` is the
block of doc/operations.md, word for word but for the addresses.
"""

import enum
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess

from timbred import ROOT, wait_for

TOOLS = ROOT / "build" / "tools"
# In doc/operations.md: where clients come, and where the server is.
FRONT_PORT, BACK = "8400", "127.0.0.1:7400"


class Settings(enum.Enum):
    MINIMAL = "minimal"
    DOCUMENTED = "documented"


def documented(language):
    """The block of doc/operations.md that is marked as of `language`."""
    text = (ROOT / "doc" / "operations.md").read_text()
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    return block


class Proxy:
    """Restartable at the same address. `changes` are (old, new) pairs of its
    settings' text, each of which must be there."""

    name: str
    minimal: str
    language: str

    def __init__(self, directory, server, settings, changes=()):
        self.directory = pathlib.Path(directory)
        self.settings = settings
        self._server = server
        self._changes = changes
        self._process = None
        self._port = 0

    @classmethod
    def program(cls):
        """Where the proxy is; None: not to be had here."""
        path = os.pathsep.join(
            (os.environ.get("PATH", os.defpath), "/usr/sbin", str(TOOLS))
        )
        return shutil.which(cls.name, path=path)

    @property
    def limits_bodies(self):
        """nginx's client_max_body_size, where nobody sets it: 1 MB is all
        that a client may send on a stream."""
        return False

    @property
    def address(self):
        return f"127.0.0.1:{self._port}"

    def start(self):
        """Returns when it answers. A port that another process took between
        its choice and its use is chosen anew; that of a restart stays."""
        attempts = 1 if self._port else 5
        for _ in range(attempts):
            self._port = self._port or _free_port()
            self._write()
            log = open(self.directory / "log", "ab")
            self._process = subprocess.Popen(
                self._command(), stdout=log, stderr=log
            )
            log.close()
            wait_for(
                lambda: self._process.poll() is not None
                or speaks_http2(self._port)
            )
            if self._process.poll() is None:
                return self
            if attempts > 1:
                self._port = 0
        raise RuntimeError((self.directory / "log").read_text())

    def stop(self, sig=signal.SIGTERM):
        """At once, whatever is open."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(sig)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process = None

    def _text(self):
        if self.settings is Settings.MINIMAL:
            text = self.minimal
        else:
            text = documented(self.language)
        for old, new in self._changes:
            assert old in text, f"{self.name}: no {old!r} in its settings"
            text = text.replace(old, new)
        text = self._at_loopback(text, self._port)
        assert BACK in text
        return text.replace(BACK, self._server.address)

    def _write(self):
        self.config = self.directory / self.file_name
        self.config.write_text(self._wrapped(self._text()))

    def _wrapped(self, text):
        """With what an installation has around the block."""
        return text


class _Reloadable(Proxy):
    """A master process with workers."""

    def reload(self):
        """As after a change of its settings; streams that are open may go on
        in the old worker. Returns when a new one answers."""
        before = children(self._process.pid)
        self._process.send_signal(self._RELOAD)
        wait_for(lambda: children(self._process.pid) - before)
        wait_for(lambda: speaks_http2(self._port))


class Nginx(_Reloadable):
    name = "nginx"
    language = "nginx"
    file_name = "nginx.conf"
    minimal = """
server {
    listen 8400 http2;
    location / { grpc_pass grpc://127.0.0.1:7400; }
}
"""
    _RELOAD = signal.SIGHUP

    @property
    def limits_bodies(self):
        return self.settings is Settings.MINIMAL

    def _at_loopback(self, text, port):
        return text.replace(f"listen {FRONT_PORT}", f"listen 127.0.0.1:{port}")

    def _wrapped(self, text):
        paths = "".join(
            f"{kind}_temp_path {self.directory}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""
daemon off;
worker_processes 1;
pid {self.directory}/pid;
error_log {self.directory}/log;
events {{}}
http {{
access_log off;
{paths}{text}}}
"""

    def _command(self):
        return [self.program(), "-p", self.directory, "-c", self.config,
                "-e", self.directory / "log"]


class Haproxy(_Reloadable):
    name = "haproxy"
    language = "haproxy"
    file_name = "haproxy.cfg"
    # HAProxy has no default of its own for timeouts, and warns without them:
    # these are those of Debian's haproxy.cfg.
    minimal = """
defaults
    mode http
    timeout connect 5s
    timeout client  50s
    timeout server  50s
frontend timbre
    bind :8400 proto h2
    default_backend timbred
backend timbred
    server one 127.0.0.1:7400 proto h2
"""
    _RELOAD = signal.SIGUSR2

    def _at_loopback(self, text, port):
        return text.replace(f"bind :{FRONT_PORT}", f"bind 127.0.0.1:{port}")

    def _command(self):
        return [self.program(), "-W", "-db", "-f", self.config]


class Envoy(Proxy):
    name = "envoy"
    language = "yaml"
    file_name = "envoy.yaml"
    minimal = """
static_resources:
  listeners:
  - address: {socket_address: {address: 0.0.0.0, port_value: 8400}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: timbre
          route_config:
            virtual_hosts:
            - name: timbre
              domains: ["*"]
              routes: [{match: {prefix: /}, route: {cluster: timbred}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: timbred
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: timbred
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 7400}}}}]}]
"""

    @classmethod
    def program(cls):
        # What the wheel's own launcher starts; it has no ELF on the PATH.
        wheel = (TOOLS / "envoy").glob("lib/*/site-packages/envoy/_bin/envoy")
        return next(map(str, wheel), None) or super().program()

    def _at_loopback(self, text, port):
        front = "address: 0.0.0.0, port_value: " + FRONT_PORT
        back = "address: 127.0.0.1, port_value: 7400"
        assert front in text and back in text
        text = text.replace(front, f"address: 127.0.0.1, port_value: {port}")
        return text.replace(back, f"address: 127.0.0.1, port_value: {BACK}")

    def _text(self):
        # Host and port are two fields here.
        return super()._text().replace(
            f"port_value: {self._server.address}",
            f"port_value: {self._server.port}",
        )

    def _command(self):
        return [self.program(), "--config-path", self.config,
                "--disable-hot-restart", "--concurrency", "1",
                "--log-level", "warning"]


KINDS = {kind.name: kind for kind in (Nginx, Haproxy, Envoy)}


def children(pid):
    """The processes that `pid` has started, and their children."""
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return {int(child) for child in path.read_text().split()}


def speaks_http2(port):
    """Whether somebody answers an HTTP/2 connection's first words with his."""
    empty_settings = struct.pack(">I", 0)[1:] + b"\x04\0\0\0\0\0"
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as end:
            end.settimeout(1)
            end.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + empty_settings)
            head = end.recv(9, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(head) == 9 and head[3] == 4  # a SETTINGS frame


def _free_port():
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        return end.getsockname()[1]
