"""The endpoints of INTERFACE 'HTTP', and the page's files.

Rules of this file: nothing changes anything; nothing waits on the loop (`Errands`); a question that cannot be answered
now is 503 with the reason, a wrong one 400 with the parameter and the rule; what went wrong inside goes to the log.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.resources import files
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from adapters.web import answers, metrics
from adapters.web.errands import Errands
from adapters.web.plain import hiding
from adapters.web.source import BadQuestion, EventFilter, NotNow, Source, UnknownThing
from adapters.web.streams import Page, Streams

PAGE = files("adapters.web") / "page"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
STREAM = "/api/stream"
SEVERITIES = Literal["debug", "info", "warning", "error", "critical"]
Text = Annotated[str | None, Query(max_length=100)]


def application(source: Source, errands: Errands, streams: Streams, *, version: str, audit_key: str) -> FastAPI:
    """The ASGI application. `audit_key` empty: the audit is closed."""
    answer = hiding(source.hide)
    app = FastAPI(
        title="Holdfast",
        version=version,
        description="Read-only: what the service protects and how it is.",
        docs_url=None,
        redoc_url=None,
        default_response_class=answer,
        responses={503: {"model": answers.Refusal, "description": "Not now, and why"}},
    )
    _refusals(app, answer)

    @app.get("/live", tags=["watch"])
    async def live() -> answers.Live:
        """The process serves: what a watchdog asks."""
        return answers.Live(status="alive")

    @app.get("/health", tags=["watch"], responses={503: {"model": answers.Health}})
    async def health(response: Response) -> answers.Health:
        """200: all that protects is well; 503: something is not, `reasons` says what. Never restart on it."""
        found = await errands.run(source.health)
        response.status_code = 503 if found["status"] == "unhealthy" else 200
        return answers.Health.model_validate(found)

    @app.get("/stats", tags=["watch"])
    async def stats() -> answers.Stats:
        """Figures of today (UTC) and since the start."""
        return answers.Stats.model_validate(await errands.run(source.stats))

    @app.get("/metrics", tags=["watch"], response_class=Response)
    async def scrape() -> Response:
        """For Prometheus."""
        figures, spreads = await errands.run(source.figures)
        return Response(metrics.exposition(figures, spreads), media_type=metrics.CONTENT_TYPE)

    @app.get("/api/positions", tags=["book"])
    async def positions(
        account: Text = None, symbol: Text = None, closed: Annotated[int, Query(ge=0, le=500)] = 0
    ) -> answers.Positions:
        """Open positions, from memory; `closed=n` adds the last n that are over, from the database."""
        found = await errands.run(lambda: source.positions(account, symbol, closed=closed))
        return answers.Positions.model_validate(found)

    @app.get("/api/positions/{position_id}/drawing", tags=["book"], responses={404: {"model": answers.Refusal}})
    async def drawing(position_id: Annotated[int, Path(ge=0, le=2**53)]) -> answers.Drawing:
        """What the chart of one position is drawn from."""
        return answers.Drawing.model_validate(await errands.run(lambda: source.drawing(position_id)))

    @app.get("/api/events", tags=["book"])
    async def events(
        since: Annotated[int | None, Query(ge=0)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        symbol: Text = None,
        type: Text = None,  # noqa: A002 - INTERFACE's name of the parameter
        severity: SEVERITIES | None = None,
        position: Annotated[int | None, Query(ge=0, le=2**53)] = None,
        correlation: Text = None,
    ) -> answers.Events:
        """Events, oldest first: with `since` the next ones after it, else the last ones."""
        wanted = EventFilter(
            since=since, limit=limit, symbol=symbol, type=type, severity=severity, position=position,
            correlation=correlation,
        )  # fmt: skip
        return answers.Events.model_validate(await errands.run(lambda: source.events(wanted)))

    @app.get("/api/trend", tags=["book"])
    async def trend() -> answers.Trend:
        """Warnings, errors and criticals of the last day, by time."""
        return answers.Trend.model_validate(await errands.run(source.trend))

    @app.get("/api/diagnostics/alerts_audit", tags=["book"], responses={403: {"model": answers.Refusal}})
    async def alerts_audit(x_api_key: Annotated[str, Header()] = "", symbol: Text = None) -> answers.Audit:
        """What holds for each symbol's alerts, and who says so. Needs the header X-API-Key."""
        if not audit_key:
            raise HTTPException(403, "closed: DIAGNOSTICS_API_KEY is not set")
        if not hmac.compare_digest(x_api_key.encode(), audit_key.encode()):
            raise HTTPException(403, "X-API-Key is missing or wrong")
        return answers.Audit.model_validate(await errands.run(lambda: source.audit(symbol)))

    @app.get(STREAM, tags=["book"], response_class=StreamingResponse)
    async def stream() -> Response:
        """Server-sent events: `picture` once, then a `step` a second, `events` as they happen, `trouble` if any."""
        page = streams.open()
        if page is None:
            raise HTTPException(503, "as many pages as web.max_streams are open already")
        return StreamingResponse(_told(streams, page), media_type="text/event-stream")

    _page(app)
    return app


async def _told(streams: Streams, page: Page) -> AsyncIterator[str]:
    try:
        async for text in page.texts():
            yield text
    finally:
        streams.close(page)


def _refusals(app: FastAPI, answer: Callable[..., Response]) -> None:
    def refuse(status: int, text: str, more: dict[str, object] | None = None) -> Response:
        return answer({"error": text, **(more or {})}, status_code=status)

    async def not_now(_: Request, error: Exception) -> Response:
        return refuse(503, str(error))

    async def bad(_: Request, error: Exception) -> Response:
        return refuse(400, str(error))

    async def unknown(_: Request, error: Exception) -> Response:
        return refuse(404, str(error))

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        return refuse(error.status_code, str(error.detail))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
        return refuse(400, "; ".join(map(_wrong, error.errors())))

    async def broken(_: Request, error: Exception) -> Response:  # the server logs it, see `server.Forwarding`
        return refuse(500, f"failed inside: {type(error).__name__}; the log has it whole")

    app.add_exception_handler(NotNow, not_now)
    app.add_exception_handler(BadQuestion, bad)
    app.add_exception_handler(UnknownThing, unknown)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, broken)


def _wrong(problem: Mapping[str, Any]) -> str:
    where = ".".join(map(str, problem["loc"][1:]))
    return f"{where} = {str(problem['input'])[:80]!r}: {problem['msg']}"


def _page(app: FastAPI) -> None:
    """The page's files, read once: nothing of a request ever becomes a path."""
    known = {each.name: each.read_bytes() for each in PAGE.iterdir() if each.is_file()}

    def served(name: str, content: bytes) -> Callable[[], Any]:
        kind = KINDS[name[name.rindex(".") :]]

        async def give() -> Response:
            return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

        return give

    for name, content in known.items():
        paths = ["/"] if name == "index.html" else [f"/page/{name}"]
        if name == "favicon.svg":
            paths.append("/favicon.ico")
        for path in paths:
            app.add_api_route(path, served(name, content), include_in_schema=False, response_class=Response)


