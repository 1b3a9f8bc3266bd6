"""Lines before a body that were read before are known by their bytes: that changes no answer, however a stream is cut."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from metering import steady
from nself.app import App
from nself.db.server import DatabaseUnavailable
from nself.domains.api_key import service as api_key
from nself.domains.api_key.model import ApiKey
from nself.http.hot import Headers, Hot, Reply, Told, Way
from nself.http.protocol import MAX_HEADS, SHORT, Protocol, protocol

LIMIT, IDLE = 80, 60.0


class Ahead(asyncio.SelectorEventLoop):
    """A loop whose time a test moves."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead

    async def passes(self, seconds: float) -> None:
        self.ahead += seconds
        for _ in range(20):
            await asyncio.sleep(0)


class Echo(Hot):
    """Answers with the header `mark` and the body; a body of `?` after a while."""

    scope, max_body, rate = "quota", LIMIT, 0  # type: ignore[assignment]

    def way(self, headers: Headers) -> Way:
        mark = b"".join(value for name, value in headers if name == b"mark")

        def answer(body: bytes, told: Told, caller: ApiKey) -> None:
            reply = Reply(200, b"%b:%b" % (mark, body))
            if body == b"?":
                asyncio.get_running_loop().call_later(0.002, told, reply)
            else:
                told(reply)

        return answer

    def place(self, header: str | None) -> api_key.Place | None:
        return None

    def allowed(self, place: api_key.Place | None) -> ApiKey:
        return ApiKey("", "echo", livemode=False, scopes=frozenset())


class Link(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> bytes:
        """The body of the next answer, or its status where that is not 200. Raises IncompleteReadError at the end."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.split(b"content-length: ")[1].split(b"\r")[0])
        body = await self.reader.readexactly(length)
        return body if head.startswith(b"HTTP/1.1 200") else head[9:12]


def serve(talk: Callable[[Link, type[Protocol]], Coroutine[Any, Any, None]]) -> None:
    """Talk on one connection to a server whose long way answers `long` and the path."""

    echo = Echo(cast(App, None), "/hot")

    async def long(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == echo.path and scope["method"] == "POST":
            return await echo(scope, receive, send)
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        text = b"long" + scope["raw_path"]
        head = [(b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        return await send({"type": "http.response.body", "body": text})

    async def run() -> None:
        serving = protocol([echo])
        config = Config(long, timeout_keep_alive=IDLE, log_config=None)  # type: ignore[arg-type]
        config.load()
        state = ServerState()
        server = await asyncio.get_running_loop().create_server(lambda: serving(config, state, {}), "127.0.0.1", 0)
        link = Link(*await asyncio.open_connection(*server.sockets[0].getsockname()))
        try:
            async with asyncio.timeout(10 * IDLE):
                await talk(link, serving)
        finally:
            link.writer.close()
            server.close()
            while state.connections:
                await asyncio.sleep(0.001)

    with asyncio.Runner(loop_factory=Ahead) as runner:
        runner.run(run())


def hot(body: bytes, mark: bytes = b"a") -> bytes:
    return b"POST /hot HTTP/1.1\r\nMark: %b\r\nContent-Length: %d\r\n\r\n%b" % (mark, len(body), body)


def chunked(body: bytes) -> bytes:
    parts = b"".join(b"1\r\n%c\r\n" % one for one in body)
    return b"POST /hot HTTP/1.1\r\nMark: c\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"


BODIES = st.sampled_from([b"", b"?", b"\r\n\r\n", b"x" * LIMIT, b"POST /hot HTTP/1.1\r\n\r\n", b"x" * (LIMIT + 1)])
REQUESTS = st.one_of(
    st.builds(lambda body, mark: (hot(body, mark), mark + b":" + body), BODIES, st.sampled_from([b"a", b"b"])),
    st.builds(lambda body: (chunked(body), b"c:" + body), BODIES),
    st.just((b"GET /hot HTTP/1.1\r\nMark: a\r\n\r\n", b"long/hot")),
    st.just((b"POST /other HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", b"long/other")),
).map(lambda one: (one[0], b"413") if one[1].endswith(b"x" * (LIMIT + 1)) else one)


@steady(150)
@given(st.lists(REQUESTS, min_size=1, max_size=8), st.lists(st.floats(0, 1), max_size=6))
def test_a_stream_is_answered_the_same_wherever_it_is_cut(sent: list[tuple[bytes, bytes]], cuts: list[float]) -> None:
    stream = b"".join(one for one, _ in sent)
    places = sorted({round(cut * len(stream)) for cut in cuts} | {0, len(stream)})

    async def talk(link: Link, serving: type[Protocol]) -> None:
        for start, stop in pairwise(places):
            link.writer.write(stream[start:stop])
            await asyncio.sleep(0.0005)
        assert [await link.answer() for _ in sent] == [wanted for _, wanted in sent]
        for request, wanted in sent:  # again, now that all is known
            link.writer.write(request)
            assert await link.answer() == wanted

    serve(talk)


def test_what_follows_the_rest_of_a_body_at_once_is_answered_too() -> None:
    async def talk(link: Link, serving: type[Protocol]) -> None:
        for _ in range(2):
            first, second = hot(b"0123456789"), hot(b"?", b"b")
            link.writer.write(first[:-4])
            await asyncio.sleep(0.01)
            link.writer.write(first[-4:] + second + second)
            assert [await link.answer() for _ in range(3)] == [b"a:0123456789", b"b:?", b"b:?"]

    serve(talk)


def test_a_body_that_reads_like_a_request_is_a_body() -> None:
    async def talk(link: Link, serving: type[Protocol]) -> None:
        link.writer.write(hot(b""))
        assert await link.answer() == b"a:"
        for mark in (b"new", b"new"):  # read by the parser, then known
            head, body = hot(hot(b""), mark)[: -len(hot(b""))], hot(b"")
            link.writer.write(head)
            await asyncio.sleep(0.01)
            link.writer.write(body)
            assert await link.answer() == mark + b":" + body
        large = b"x" * (LIMIT + 1)
        link.writer.write(hot(large + hot(b""), b"large")[: -len(hot(b""))])
        assert await link.answer() == b"413"
        link.writer.write(hot(b""))  # the rest of what was too large
        await asyncio.sleep(0.01)
        link.writer.write(hot(b"x"))
        assert await link.answer() == b"a:x"

    serve(talk)


def test_only_plain_lines_are_known_again() -> None:
    async def talk(link: Link, serving: type[Protocol]) -> None:
        for request in (chunked(b"x"), b"\r\n" + hot(b"x"), hot(b"x")[:30], hot(b"x")[30:]):
            link.writer.write(request)
            await asyncio.sleep(0.01)
        assert [await link.answer() for _ in range(3)] == [b"c:x", b"a:x", b"a:x"]
        assert not serving.heads
        link.writer.write(hot(b"x"))
        assert await link.answer() == b"a:x"
        assert [head.length for head in serving.heads.values()] == [1]
        serving.heads.update(dict.fromkeys((b"%d" % n for n in range(MAX_HEADS)), *serving.heads.values()))
        link.writer.write(hot(b"xy"))
        assert await link.answer() == b"a:xy"
        assert len(serving.heads) == 1
        link.writer.write(hot(b"x" * SHORT * 2))
        assert await link.answer() == b"413"
        assert len(serving.heads) == 1

    serve(talk)


@pytest.mark.parametrize("pause", [0, IDLE / 2])
def test_a_connection_that_rests_is_closed_in_its_time(pause: float) -> None:
    async def talk(link: Link, serving: type[Protocol]) -> None:
        loop = cast(Ahead, asyncio.get_running_loop())
        for _ in range(4):
            link.writer.write(hot(b"?"))
            assert await link.answer() == b"a:?"
            await loop.passes(pause)
        await loop.passes(IDLE * 0.8 - pause)
        assert not link.reader.at_eof()
        await loop.passes(IDLE * 0.2)
        async with asyncio.timeout(IDLE):
            assert await link.reader.read() == b""

    serve(talk)


@pytest.mark.parametrize("answers", [True, False])
def test_a_key_is_asked_for_once_for_all_who_wait_and_by_each_where_nobody_answers(answers: bool) -> None:
    class Asking(Echo):
        proven, times = False, 0

        def allowed(self, place: api_key.Place | None) -> ApiKey | None:
            return super().allowed(place) if self.proven else None

        def prove(self, header: str | None) -> ApiKey:
            self.times += 1
            time.sleep(0.02)
            if not answers:
                raise DatabaseUnavailable(detail="gone")
            self.proven = True
            return super().allowed(None)

    async def run() -> None:
        hot = Asking(cast(App, None), "/hot")
        found = await asyncio.gather(*(hot.allow("x") for _ in range(5)), return_exceptions=True)
        assert hot.times == (1 if answers else 5)
        assert [isinstance(one, DatabaseUnavailable) for one in found] == [not answers] * 5

    asyncio.run(run())
