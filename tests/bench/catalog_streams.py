"""Live streams that come and go over a catalogue of voices: see catalog.py."""

import asyncio
import collections
import time

import grpc
import numpy as np

from catalog_voices import DIMENSION, voice_name
from timbre import _contract as pb

BLOCK = 16
PERIOD_S = 0.25
LIFE_BLOCKS = (20, 50)
K = 8
CHECK_ONE_IN = 10  # blocks
# Of the spread of the frames: what a converted frame is off its row.
NOISE = 0.05
RAMP_S = 5


class Popularity:
    """Voices by Zipf's law: the first is the most popular."""

    def __init__(self, count, exponent, random):
        weights = np.arange(1, count + 1) ** -float(exponent)
        self._bounds = np.cumsum(weights / weights.sum())
        self._random = random

    def draw(self):
        found = np.searchsorted(self._bounds, self._random.random())
        return int(min(found, len(self._bounds) - 1))


class Heard:
    """What the streams of one run heard.

    Attributes:
      first_ms: from the beginning of a stream to its first answer.
      later_ms: from when a block was due to its answer.
      late_ms: from when a block was due to its sending: the generator's own.
      failed: streams by status.
      checked, found, wrong: frames; `found` got their own row, or one as near,
        `wrong` a distance that is not that of the row they got.
    """

    def __init__(self):
        self.starts = 0
        self.first_ms, self.later_ms, self.late_ms = [], [], []
        self.failed = collections.Counter()
        self.checked = self.found = self.wrong = 0

    def check(self, queries, rows, stored, response):
        ids = np.frombuffer(response.neighbors.ids, "<i8").reshape(-1, K)[:, 0]
        told = np.frombuffer(response.neighbors.distances, "<f4")
        told = told.reshape(-1, K)[:, 0].astype(np.float64)
        own = distances(queries, rows)
        got = distances(queries, stored[np.clip(ids, 0, len(stored) - 1)])
        right = np.isclose(told, got, rtol=1e-3, atol=1e-3) & (ids >= 0)
        self.checked += len(ids)
        self.wrong += int(np.sum(~right))
        self.found += int(np.sum(right & (got <= own * (1 + 1e-4) + 1e-6)))


def distances(queries, rows):
    """Squared, in double precision."""
    off = queries.astype(np.float64) - rows.astype(np.float64)
    return np.sum(off**2, axis=1)


class Streams:
    """`count` streams at a time, each of a voice for some seconds, in one
    process that has little to do: a message is 16 KB."""

    def __init__(self, channel, kinds, templates, popularity, random):
        """`kinds`: the template of each voice; `templates`: their frames."""
        self._open = channel.stream_stream(
            pb.SEARCH,
            request_serializer=pb.SearchRequest.SerializeToString,
            response_deserializer=pb.SearchResponse.FromString,
        )
        self._kinds, self._templates = kinds, templates
        self._spread = [np.std(t[:1000].astype(np.float32)) for t in templates]
        self._popularity = popularity
        self._random = random

    async def warm(self, draws, at_once=8):
        """Gives the server the state that it has after hours: has every voice
        opened, the most popular last, then so many as they are asked for."""
        order = list(reversed(range(len(self._kinds))))
        order += [self._popularity.draw() for _ in range(draws)]
        left = iter(order)

        async def work():
            for voice in left:
                request = pb.SearchRequest(speaker=voice_name(voice))
                call = self._open()
                try:
                    await call.write(request)
                    await call.done_writing()
                    async for _ in call:
                        pass
                except (grpc.RpcError, asyncio.InvalidStateError):
                    await call.code()  # the run itself counts failures

        await asyncio.gather(*(work() for _ in range(at_once)))

    async def run(self, count, seconds):
        heard = Heard()
        end = time.monotonic() + seconds
        ramp = min(RAMP_S, seconds / 4)

        async def slot(number):
            await asyncio.sleep(ramp * number / count)
            # As if it had begun some time ago, so that ends do not coincide.
            blocks = int(self._random.integers(1, LIFE_BLOCKS[1]))
            while time.monotonic() < end - PERIOD_S:
                await self._one_stream(blocks, end, heard)
                blocks = int(self._random.integers(
                    LIFE_BLOCKS[0], LIFE_BLOCKS[1] + 1))

        await asyncio.gather(*(slot(i) for i in range(count)))
        return heard

    async def _one_stream(self, blocks, end, heard):
        voice = self._popularity.draw()
        heard.starts += 1
        call = self._open()
        try:
            await self._exchange(call, voice, blocks, end, heard)
            await call.done_writing()
            await call.read()
            code = await call.code()
        except (grpc.RpcError, asyncio.InvalidStateError):
            code = await call.code()
        if code != grpc.StatusCode.OK:
            heard.failed[code.name] += 1
            await asyncio.sleep(PERIOD_S)

    async def _exchange(self, call, voice, blocks, end, heard):
        due = time.monotonic()
        for i in range(blocks):
            if due > end:
                return
            stored, rows, queries = self._block(voice)
            request = pb.SearchRequest(
                speaker="" if i else voice_name(voice), frames=frames(queries)
            )
            await asyncio.sleep(max(0, due - time.monotonic()))
            heard.late_ms.append(1e3 * (time.monotonic() - due))
            await call.write(request)
            response = await call.read()
            if response is grpc.aio.EOF:
                return
            now = time.monotonic()
            (heard.later_ms if i else heard.first_ms).append(1e3 * (now - due))
            if self._random.integers(CHECK_ONE_IN) == 0:
                heard.check(queries, rows, stored, response)
            # What is said while a voice is opened waits in the caller's
            # buffer; that is the first answer's time, and not the next one's.
            due = due + PERIOD_S if i else max(due + PERIOD_S, now)

    def _block(self, voice):
        kind = self._kinds[voice]
        stored = self._templates[kind]
        first = int(self._random.integers(len(stored) - BLOCK))
        rows = stored[first : first + BLOCK].astype(np.float32)
        noise = self._random.standard_normal(rows.shape, np.float32)
        return stored, rows, rows + NOISE * self._spread[kind] * noise


def frames(queries):
    return pb.Frames(data=queries.astype("<f4").tobytes(), dimension=DIMENSION)
