"""One client among threads, processes and coroutines."""

import asyncio
import concurrent.futures
import gc
import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import timbre


def test_16_threads_share_a_client(voice, queries):
    expected = voice.blend(queries)

    def work(thread):
        for i in range(50):
            first = (thread * 50 + i) % (len(queries) - 16)
            block = slice(first, first + 16)
            assert np.array_equal(voice.blend(queries[block]), expected[block])
            if i % 10 == 0:
                assert np.array_equal(voice.blend(queries), expected)

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(16)))


def test_parameters_of_one_thread_are_not_those_of_another(voice, queries):
    expected = {n: voice.blend(queries, nprobe=n) for n in (1, 2, 16)}

    def work(thread):
        nprobe = (1, 2, 16)[thread % 3]
        for _ in range(20):
            out, info = voice.blend(queries, nprobe=nprobe, info=True)
            assert np.array_equal(out, expected[nprobe])
            assert info.nprobe == nprobe

    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(6)))


def test_closing_ends_calls_of_other_threads(server, alice, queries):
    client = timbre.Client(server.address)
    voice = client.speaker("alice")
    begun = threading.Event()

    def work():
        while True:
            voice.blend(np.tile(queries, (20, 1)))
            begun.set()

    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        call = threads.submit(work)
        assert begun.wait(30)
        client.close()
        with pytest.raises(timbre.FailedPrecondition, match="closed"):
            call.result(30)
    client.close()


def test_a_forgotten_voice_leaves_no_stream_open(client, alice, queries):
    gc.collect()
    client.speaker("alice").blend(queries)
    gc.collect()
    assert client._connection.forgotten
    voice = client.speaker("alice")
    assert voice and not client._connection.forgotten


def _in_child(client, voice, queue):
    voice.close()
    del voice
    gc.collect()
    try:
        client.server_info()
        queue.put("answered")
    except timbre.ForkError as error:
        queue.put(str(error))


def test_a_forked_child_gets_a_clear_error(client, alice, queries):
    voice = client.speaker("alice")
    voice.blend(queries)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_in_child, args=(client, voice, answers))
    child.start()
    assert "belongs to process" in answers.get(timeout=30)
    child.join(30)
    assert child.exitcode == 0
    assert voice.blend(queries).shape == queries.shape


def run_worker(code, server):
    """Another Python process; `c` is its client."""
    return subprocess.run(
        [
            sys.executable, "-c",
            "import timbre, sys, numpy as np;"
            f"c = timbre.Client(sys.argv[1]); {code}",
            server.address,
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_spawned_children_have_clients_of_their_own(server, alice):
    done = run_worker("print(c.speaker('alice').frames_count); c.close()", server)
    assert done.stdout.strip() == str(len(alice)), done.stderr


def test_a_worker_that_forgets_to_close_exits(server, alice):
    done = run_worker(
        "v = c.speaker('alice'); v.blend(np.zeros((16, v.dimension), 'f4'),"
        " latency_budget_s=1.0); print('done')",
        server,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_asyncio_has_the_same_calls(server, alice, queries, voice):
    expected = voice.blend(queries)

    async def work():
        async with timbre.AsyncClient(server.address) as client:
            remote = await client.speaker("alice")
            assert remote.dimension == queries.shape[1]
            blocks = [slice(i, i + 16) for i in range(0, 384, 16)]
            outs = await asyncio.gather(
                *(remote.blend(queries[block]) for block in blocks)
            )
            for block, out in zip(blocks, outs):
                assert np.array_equal(out, expected[block])
            distances, ids = await remote.search(queries, 4)
            assert ids.shape == (len(queries), 4)
            assert np.array_equal(await remote.frames(0, 9), alice[:9])
            fractions = []
            version = await client.build(
                "async", alice, progress=lambda p: fractions.append(p.fraction)
            )
            assert version.frames == len(alice)
            assert fractions == sorted(fractions)
            await client.build("async", alice[:50])
            assert await client.warm("async") == 2
            assert await client.warm("async", version=1) == 1
            await client.activate_version("async", 1)
            await client.delete_version("async", 2)
            names = [s.speaker async for s in client.list_speakers("asy")]
            assert names == ["async"]
            await client.delete_speaker("async")
            with pytest.raises(timbre.NotFound):
                await client.get_speaker("async")
            assert (await client.server_info()).version

    asyncio.run(work())


def test_a_cancelled_coroutine_leaves_the_others_alone(server, alice, queries):
    async def work():
        async with timbre.AsyncClient(server.address) as client:
            voice = await client.speaker("alice")
            call = asyncio.ensure_future(
                voice.blend(np.tile(queries, (50, 1)))
            )
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (await voice.blend(queries)).shape == queries.shape

    asyncio.run(work())
