"""The channel of a client."""

from __future__ import annotations

import os
import pathlib
from typing import Any, Optional, Union

import grpc

from timbre._address import Address

Path = Union[str, "os.PathLike[str]"]
Tls = Union[None, bool, bytes, Path, grpc.ChannelCredentials]

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A worker is back within this time of its server's return.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


def open_channel(
    address: Address, tls: Tls, options: tuple[tuple[str, Any], ...]
) -> grpc.Channel:
    """See Client. `options` come after ours. Does not connect yet."""
    credentials = _credentials(tls)
    local = (("grpc.enable_http_proxy", 0),) if address.local else ()
    options = (*_OPTIONS, *local, *options)
    if credentials is None:
        return grpc.insecure_channel(address.text, options=options)
    return grpc.secure_channel(address.text, credentials, options=options)


def _credentials(tls: Tls) -> Optional[grpc.ChannelCredentials]:
    if tls is None or tls is False:
        return None
    if isinstance(tls, grpc.ChannelCredentials):
        return tls
    if tls is True:
        return grpc.ssl_channel_credentials()
    if isinstance(tls, bytes):
        return grpc.ssl_channel_credentials(tls)
    return grpc.ssl_channel_credentials(pathlib.Path(tls).read_bytes())
