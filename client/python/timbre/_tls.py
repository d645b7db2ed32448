"""What a caller may say of TLS."""

from __future__ import annotations

import os
import pathlib
from typing import Optional, Union

import grpc

Tls = Union[
    None, bool, bytes, str, "os.PathLike[str]", grpc.ChannelCredentials
]


def credentials_of(tls: Tls) -> Optional[grpc.ChannelCredentials]:
    """What a channel wants; None: plain text."""
    if tls is None or tls is False:
        return None
    if isinstance(tls, grpc.ChannelCredentials):
        return tls
    if tls is True:
        return grpc.ssl_channel_credentials()
    if isinstance(tls, bytes):
        return grpc.ssl_channel_credentials(tls)
    return grpc.ssl_channel_credentials(pathlib.Path(tls).read_bytes())
