"""Timbre: nearest-neighbour feature retrieval of voice conversion, remote.

    import timbre

    client = timbre.Client("127.0.0.1:7400")
    client.build("alice", "logs/alice/3_feature256")
    voice = client.speaker("alice")
    mixed = voice.blend(frames, rate=0.75)          # what RVC's index does
    distances, ids = voice.search(frames, k=8)      # as faiss

``timbre.compat.faiss_index`` stands in for a faiss index in existing code,
``timbre.aio`` is the same for asyncio. Errors are those of ``timbre.errors``.
"""

from timbre import compat, errors
from timbre._names import slug
from timbre.aio import AsyncClient, AsyncMix, AsyncVoice
from timbre.client import Client
from timbre.errors import (
    Aborted,
    BadFrame,
    DataLoss,
    Error,
    FailedPrecondition,
    ForkError,
    InvalidArgument,
    Late,
    NotFound,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from timbre.mix import Mix
from timbre.results import (
    BlendInfo,
    OperatingPoint,
    Progress,
    SearchInfo,
    ServerInfo,
    Speaker,
    Tuning,
    Verified,
    Version,
)
from timbre.voice import Voice

__version__ = "0.1.0"

__all__ = [
    "Aborted",
    "AsyncClient",
    "AsyncMix",
    "AsyncVoice",
    "BadFrame",
    "BlendInfo",
    "Client",
    "DataLoss",
    "Error",
    "FailedPrecondition",
    "ForkError",
    "InvalidArgument",
    "Late",
    "Mix",
    "NotFound",
    "OperatingPoint",
    "Progress",
    "ResourceExhausted",
    "SearchInfo",
    "ServerInfo",
    "Speaker",
    "Tuning",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Verified",
    "Version",
    "Voice",
    "compat",
    "errors",
    "slug",
]
