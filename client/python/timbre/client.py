"""The client of one server."""

from __future__ import annotations

import os
import pathlib
import uuid
from typing import Any, Callable, Iterator, Mapping, Optional

from timbre import _contract, _threads, _upload, errors
from timbre._address import parse
from timbre._build import FrameSource, options_message
from timbre._calls import unary
from timbre._channel import Path, Tls, open_channel
from timbre._closing import Closing
from timbre._connection import Connection
from timbre._parameters import assign, check_choice
from timbre._stored import save_export, verify
from timbre.errors import InvalidArgument
from timbre.mix import Mix
from timbre.results import (
    Progress,
    ServerInfo,
    Speaker,
    Tuning,
    Verified,
    Version,
)
from timbre.voice import Voice


class Client(Closing):
    """A connection to a Timbre server. Make one per process and share it:
    every method may be called from any thread. It connects when it is first
    used, and again whenever that is needed.

    gRPC does not survive a fork: in a child process that was forked after its
    making, every call raises ForkError.

    Args:
      address: "host:port", "[ipv6]:port" or "unix:path"; None: the
        environment's TIMBRE_SERVER, else 127.0.0.1:7400. Of http_proxy and
        the like gRPC makes use, but not for this machine.
      token: sent as `authorization: Bearer ...`.
      tls: None: plain text. True: TLS with the system's roots; or the roots
        as PEM, bytes or a path; or grpc.ChannelCredentials.
      timeout_s: how long a call goes on without any answer from the server,
        reconnecting meanwhile, before it raises Unavailable.
      max_idle_streams: how many open streams are kept for the next call of
        their voices, which they hold in the server's memory (Voice.close);
        the least recently used are closed. Proxies allow a client 100 streams
        (HAProxy) or 128 (nginx); each thread that waits for an answer has one.
      options: further gRPC channel arguments.

    Raises:
      InvalidArgument: such an address can never become a connection.
    """

    def __init__(
        self,
        address: Optional[str] = None,
        *,
        token: Optional[str] = None,
        tls: Tls = None,
        timeout_s: float = 30.0,
        max_idle_streams: int = 64,
        options: tuple[tuple[str, Any], ...] = (),
    ) -> None:
        if address is None:
            address = os.environ.get("TIMBRE_SERVER") or "127.0.0.1:7400"
        parsed = parse(address)
        self.address = address
        channel = open_channel(parsed, tls, options)
        headers = (("authorization", f"Bearer {token}"),) if token else ()
        self._connection = Connection(
            channel, parsed, headers, timeout_s, max_idle_streams
        )

    def speaker(
        self,
        name: str,
        *,
        version: int = 0,
        dimension: int = 0,
        warm: bool = True,
    ) -> Voice:
        """A voice, pinned to the version that is active now.

        Args:
          name: of the speaker.
          version: that one instead.
          dimension: what the caller's frames have; 0: anything.
          warm: have the server load the voice now, so that the first frames
            need not wait for it.

        Raises:
          NotFound: no such speaker or version.
          FailedPrecondition: no version is active.
          InvalidArgument: the voice has another dimension.
        """
        info = self._version(name, version)
        if dimension not in (0, info.dimension):
            raise InvalidArgument(
                f"speaker {name} version {info.version} has"
                f" {info.dimension} dimensions, not {dimension}",
                field="dimension",
                reason="WRONG_DIMENSION",
            )
        voice = Voice(self._connection, name, info)
        if warm:
            voice._retrieval.warm()
        return voice

    def mix(self, weights: Mapping[str, float], *, warm: bool = True) -> Mix:
        """Voices mixed: {"alice": 0.7, "bob": 0.3}. 1 to 16 of one dimension.

        Raises: as `speaker`.
        """
        if not 1 <= len(weights) <= 16:
            raise InvalidArgument(
                f"weights of {len(weights)} voices: must be 1..16",
                field="weights",
                reason="INVALID_FIELD",
            )
        infos = {name: self._version(name, 0) for name in weights}
        dimensions = {info.dimension for info in infos.values()}
        if len(dimensions) > 1:
            each = ", ".join(f"{n}: {i.dimension}" for n, i in infos.items())
            raise InvalidArgument(
                f"weights: the voices have different dimensions ({each})",
                field="weights",
                reason="WRONG_DIMENSION",
            )
        mix = Mix(self._connection, weights, infos)
        if warm:
            mix.warm()
        return mix

    def warm(self, speaker: str, *, version: int = 0) -> int:
        """Has the server open a voice, so that the next stream of it need not
        wait. Other than `speaker` it keeps no stream: a server that is short
        of memory may close the voice again.

        Returns:
          The version: that one, or the active one.

        Raises: as `speaker`.
        """
        request = _contract.SearchRequest()  # without frames
        assign(request, "speaker", speaker)
        assign(request, "version", version)
        answer = unary(
            self._connection,
            "Search",
            request,
            _contract.SearchResponse,
            speaker,
            service=_contract.RETRIEVAL,
        )
        return int(answer.version)

    def build(
        self,
        speaker: str,
        frames: Any,
        *,
        progress: Optional[Callable[[Progress], None]] = None,
        metric: Optional[str] = None,
        index_factory: Optional[str] = None,
        reduce_to_centroids: Optional[int] = None,
        seed: Optional[int] = None,
        keep_inactive: Optional[bool] = None,
        target_recall: Optional[float] = None,
        labels: Optional[Mapping[str, str]] = None,
        storage: Optional[str] = None,
        database_expansion_k: Optional[int] = None,
        database_expansion_alpha: Optional[float] = None,
        base_version: Optional[int] = None,
        request_id: Optional[str] = None,
    ) -> Version:
        """Trains a new version of a speaker's index and makes it active.

        Args:
          frames: an array [n, dimension]; or the path of a .npy file or of a
            directory of them (read in the order of their names); or a list of
            these; or an iterable of arrays, read once.
          progress: called with each Progress, on this thread.
          others: see BuildOptions in the contract; None: the server's default.
            metric: "l2", "inner_product" or "cosine". storage: "float32" or
            "float16".
          request_id: names this build, so that it is not done twice; one is
            made up if there is none. A build whose connection breaks is
            repeated under it, unless its frames can be read only once.

        Returns:
          The version, which is durable then.

        Raises:
          BadFrame: frames with NaN or infinity; nothing is left of the build.
          Error: see timbre.errors.
        """
        source = FrameSource(frames)
        options = options_message(
            speaker,
            source.count,
            {
                "metric": metric,
                "index_factory": index_factory,
                "reduce_to_centroids": reduce_to_centroids,
                "seed": seed,
                "keep_inactive": keep_inactive,
                "target_recall": target_recall,
                "labels": labels,
                "storage": storage,
                "database_expansion_k": database_expansion_k,
                "database_expansion_alpha": database_expansion_alpha,
                "base_version": base_version,
                "request_id": request_id or uuid.uuid4().hex,
            },
        )
        return _upload.build(self._connection, options, source, progress)

    def tune(
        self,
        speaker: str,
        queries: Any,
        *,
        version: int = 0,
        k: int = 0,
        target_recall: float = 0.0,
        apply: bool = False,
        timeout_s: Optional[float] = None,
    ) -> Tuning:
        """Measures recall, blend error and cost of a version's settings.

        Args:
          queries: frames to be converted, of another voice than this one, as
            build takes them; 1..100,000 in all.
          k: what to measure at, 1..1024; 0: 8.
          target_recall: what the chosen setting must reach; 0: 0.95.
          apply: what was measured replaces the version's operating points and
            defaults, also after a restart of the server; k must be 8 or 0.
          timeout_s: how long the server may say nothing; None: as long as the
            client's, but ten minutes once it has the call and all frames, since
            it waits for builds before it and measures in silence.

        Returns:
          The curve, and the cheapest point that reaches the target, or the
          most accurate one.

        Raises:
          BadFrame: queries with NaN or infinity.
          Error: see timbre.errors. Not repeated where the connection breaks.
        """
        first = _contract.TuneRequest()
        for name, value in (
            ("speaker", speaker),
            ("version", version),
            ("k", k),
            ("target_recall", target_recall),
            ("apply", apply),
        ):
            assign(first, name, value)
        return _upload.tune(
            self._connection, first, FrameSource(queries), timeout_s
        )

    def list_speakers(self, prefix: str = "") -> Iterator[Speaker]:
        """Speakers whose names begin with `prefix`, each with its active
        version alone, and that without its operating points: get_speaker has
        them."""
        request = _contract.ListSpeakersRequest()
        assign(request, "prefix", prefix)
        while True:
            page = unary(
                self._connection,
                "ListSpeakers",
                request,
                _contract.ListSpeakersResponse,
            )
            for speaker in page.speakers:
                yield Speaker._of(speaker)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def get_speaker(self, speaker: str) -> Speaker:
        """A speaker with all its versions."""
        request = _contract.GetSpeakerRequest()
        return self._on_speaker("GetSpeaker", request, speaker)

    def activate_version(self, speaker: str, version: int) -> Speaker:
        """Makes another version the one that new streams get."""
        request = _contract.ActivateVersionRequest()
        assign(request, "version", version)
        return self._on_speaker(
            "ActivateVersion", request, speaker, once=True
        )

    def delete_version(self, speaker: str, version: int) -> Speaker:
        """Deletes a version that is not active."""
        request = _contract.DeleteVersionRequest()
        assign(request, "version", version)
        return self._on_speaker("DeleteVersion", request, speaker, once=True)

    def delete_speaker(self, speaker: str) -> None:
        """Deletes a speaker with all its versions."""
        request = _contract.DeleteSpeakerRequest()
        assign(request, "speaker", speaker)
        unary(
            self._connection,
            "DeleteSpeaker",
            request,
            _contract.DeleteSpeakerResponse,
            speaker,
            once=True,
        )

    def export(
        self,
        speaker: str,
        path: Path,
        *,
        format: str = "faiss_index",
        version: int = 0,
    ) -> None:
        """Writes a version to a file, whole or not at all.

        Args:
          format: "faiss_index" (as built), "ivf_flat" (what RVC, Applio and
            w-okada load) or "npy" (the stored frames).
        """
        check_choice("format", format, list(_contract.EXPORT_FORMATS)[1:])
        request = _contract.ExportRequest(
            format=_contract.EXPORT_FORMATS[format]
        )
        assign(request, "speaker", speaker)
        assign(request, "version", version)
        save_export(self._connection, request, pathlib.Path(path))

    def verify(self, speaker: Optional[str] = None) -> Iterator[Verified]:
        """Has the server compare the stored files of a speaker, or of all,
        with their digests: each version, as soon as that is done. Damage is
        no error; whoever stops iterating ends it.

        Raises:
          NotFound: no such speaker.
        """
        return _threads.heard(verify(self._connection, speaker))

    def server_info(self) -> ServerInfo:
        """What the server is and what it has."""
        return ServerInfo._of(
            unary(
                self._connection,
                "GetServerInfo",
                _contract.GetServerInfoRequest(),
                _contract.ServerInfo,
            )
        )

    def close(self) -> None:
        """Ends all streams and the connection. Idempotent."""
        self._connection.close()

    def __repr__(self) -> str:
        return f"<timbre.Client {self.address}>"

    def _version(self, name: str, version: int) -> Version:
        speaker = self.get_speaker(name)
        if version == 0:
            version = speaker.active_version
            if version == 0:
                raise errors.FailedPrecondition(
                    f"speaker {name} has no active version",
                    reason="NO_ACTIVE_VERSION",
                )
        for found in speaker.versions:
            if found.version == version:
                return found
        raise errors.NotFound(
            f"speaker {name} has no version {version}",
            reason="VERSION_NOT_FOUND",
            field="version",
        )

    def _on_speaker(
        self, method: str, request: Any, speaker: str, once: bool = False
    ) -> Speaker:
        assign(request, "speaker", speaker)
        return Speaker._of(
            unary(
                self._connection,
                method,
                request,
                _contract.Speaker,
                speaker,
                once,
            )
        )
