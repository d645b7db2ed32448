"""The client for asyncio.

The same calls, as coroutines: `await voice.blend(x)`. Each runs on a thread of
the client's own, which is faster than grpc.aio: an answer passes through one
thread, not through grpcio's poller, its socket and the event loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
from typing import Any, AsyncIterator, Callable, Mapping, Optional, TypeVar

from timbre import _threads
from timbre._stored import verify
from timbre.client import Client
from timbre.mix import Mix
from timbre.results import ServerInfo, Speaker, Tuning, Verified, Version
from timbre.voice import Voice

T = TypeVar("T")


class AsyncClient:
    """Client for asyncio.

    A cancelled call is over for its caller at once. A build, a tuning or a
    download is cancelled at the server too; frames that were sent are
    answered, and dropped.

    Args:
      address, **options: see Client.
      max_calls: calls that may wait for answers at once; others queue, and
        that time is not part of a latency_budget_s.
    """

    def __init__(
        self,
        address: Optional[str] = None,
        *,
        max_calls: int = 32,
        **options: Any,
    ) -> None:
        self._client = Client(address, **options)
        self._threads = concurrent.futures.ThreadPoolExecutor(
            max_calls, thread_name_prefix="timbre-call"
        )

    async def speaker(self, name: str, **options: Any) -> AsyncVoice:
        """See Client.speaker."""
        voice = await self._run(self._client.speaker, name, **options)
        return AsyncVoice(self, voice)

    async def mix(
        self, weights: Mapping[str, float], **options: Any
    ) -> AsyncMix:
        """See Client.mix."""
        mix = await self._run(self._client.mix, weights, **options)
        return AsyncMix(self, mix)

    async def warm(self, speaker: str, **options: Any) -> int:
        """See Client.warm."""
        return await self._run(self._client.warm, speaker, **options)

    async def build(
        self, speaker: str, frames: Any, **options: Any
    ) -> Version:
        """See Client.build. `progress` is called on the event loop."""
        progress = options.pop("progress", None)
        if progress is not None:
            loop = asyncio.get_running_loop()
            options["progress"] = functools.partial(
                loop.call_soon_threadsafe, progress
            )
        return await self._run(self._client.build, speaker, frames, **options)

    async def tune(self, speaker: str, queries: Any, **options: Any) -> Tuning:
        """See Client.tune."""
        return await self._run(self._client.tune, speaker, queries, **options)

    async def list_speakers(self, prefix: str = "") -> AsyncIterator[Speaker]:
        """See Client.list_speakers."""
        speakers = await self._run(
            lambda: list(self._client.list_speakers(prefix))
        )
        for speaker in speakers:
            yield speaker

    async def get_speaker(self, speaker: str) -> Speaker:
        """See Client.get_speaker."""
        return await self._run(self._client.get_speaker, speaker)

    async def activate_version(self, speaker: str, version: int) -> Speaker:
        """See Client.activate_version."""
        return await self._run(self._client.activate_version, speaker, version)

    async def delete_version(self, speaker: str, version: int) -> Speaker:
        """See Client.delete_version."""
        return await self._run(self._client.delete_version, speaker, version)

    async def delete_speaker(self, speaker: str) -> None:
        """See Client.delete_speaker."""
        await self._run(self._client.delete_speaker, speaker)

    async def export(self, speaker: str, path: Any, **options: Any) -> None:
        """See Client.export."""
        await self._run(self._client.export, speaker, path, **options)

    async def verify(
        self, speaker: Optional[str] = None
    ) -> AsyncIterator[Verified]:
        """See Client.verify."""
        found: asyncio.Queue[Optional[Verified]] = asyncio.Queue()
        hear = functools.partial(
            asyncio.get_running_loop().call_soon_threadsafe, found.put_nowait
        )
        work = verify(self._client._connection, speaker)
        call = asyncio.ensure_future(self._run(_threads.aside, work, hear))
        call.add_done_callback(lambda _: found.put_nowait(None))
        try:
            while (version := await found.get()) is not None:
                yield version
            await call
        finally:
            call.cancel()

    async def server_info(self) -> ServerInfo:
        """See Client.server_info."""
        return await self._run(self._client.server_info)

    async def close(self) -> None:
        """Ends all streams and the connection."""
        # Not behind the calls that it ends.
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._client.close)
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    async def _run(
        self, call: Callable[..., T], *arguments: Any, **options: Any
    ) -> T:
        scope = _threads.Scope()
        work = functools.partial(
            _threads.within,
            scope,
            functools.partial(call, *arguments, **options),
        )
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, work
            )
        except asyncio.CancelledError:
            _threads.end(scope)
            raise


class _AsyncBlend:
    """What AsyncVoice and AsyncMix do alike."""

    def __init__(self, client: AsyncClient, wrapped: Any) -> None:
        self._client = client
        self._wrapped = wrapped

    async def blend(self, x: Any, *arguments: Any, **options: Any) -> Any:
        """See Voice.blend and Mix.blend."""
        return await self._client._run(
            self._wrapped.blend, x, *arguments, **options
        )

    async def close(self) -> None:
        """Ends the open streams."""
        await self._client._run(self._wrapped.close)

    def __repr__(self) -> str:
        return f"<async {self._wrapped!r}>"


class AsyncVoice(_AsyncBlend):
    """Voice for asyncio; made by AsyncClient.speaker. Attributes: see
    Voice."""

    def __init__(self, client: AsyncClient, voice: Voice) -> None:
        super().__init__(client, voice)
        self.speaker = voice.speaker
        self.version = voice.version
        self.dimension = voice.dimension
        self.frames_count = voice.frames_count
        self.info = voice.info

    async def search(self, x: Any, *arguments: Any, **options: Any) -> Any:
        """See Voice.search."""
        return await self._client._run(
            self._wrapped.search, x, *arguments, **options
        )

    async def frames(self, *arguments: Any, **options: Any) -> Any:
        """See Voice.frames."""
        return await self._client._run(
            self._wrapped.frames, *arguments, **options
        )


class AsyncMix(_AsyncBlend):
    """Mix for asyncio; made by AsyncClient.mix. Attributes: see Mix."""

    def __init__(self, client: AsyncClient, mix: Mix) -> None:
        super().__init__(client, mix)
        self.weights = mix.weights
        self.versions = mix.versions
        self.dimension = mix.dimension
