"""The API as one ASGI application: routes behind the door, and every error as one sentence."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

import afuic
from afuic.errors import StoreError
from afuic.service.door import OPEN, Door
from afuic.service.routes import router
from afuic.service.schemas import Health
from afuic.service.shelf import Shelf
from afuic.service.tokens import Keyring
from afuic.settings import PROCESSES, Architecture, Server
from afuic.store.book import Book

LOG = logging.getLogger("afuic.service")
BUSY = "the store cannot be used at the moment; ask again in a while, and tell the operator, whose log says why"

STANDARD = {"Not Found": "there is nothing at this address", "Method Not Allowed": "this address does not take that method"}


def create_app(settings: Server, books: Callable[[], Book]) -> FastAPI:
    """The application. ``books`` opens the federation's store; it is called when it is first needed, and again while that fails.

    ConfigError where the file of tokens is unusable.
    """
    shelf = Shelf(books)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        shelf.close()

    app = FastAPI(
        title="afuic",
        version=afuic.__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        openapi_url="/v1/openapi.json",
    )
    app.state.shelf = shelf
    app.state.network = Architecture(**settings.images.model_dump(), model=settings.federation.model.name)
    app.state.processes = settings.store.parent / "run" / PROCESSES
    app.state.hospitals = frozenset(hospital.name for hospital in settings.hospitals)
    app.add_middleware(Door, keyring=Keyring(settings.api.tokens), shelf=shelf, api=settings.api)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(StoreError, _unusable)
    app.add_exception_handler(Exception, _faulty)
    app.include_router(router)
    app.add_api_route(OPEN, _health, response_model=Health)
    return app


def _health() -> Health:
    """Whether the service answers."""
    return Health(ok=True)


def _said(request: Request, status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    if (visit := getattr(request.state, "visit", None)) is not None:
        visit.why = sentence
    return JSONResponse({"error": sentence}, status, headers)


def _refused(request: Request, error: Exception) -> Response:
    status, detail = getattr(error, "status_code", 500), str(getattr(error, "detail", ""))
    sentence = STANDARD.get(detail, detail) or "the call cannot be answered"
    headers = _allowed(request) if status == 405 else getattr(error, "headers", None)
    return _said(request, status, sentence, headers)


def _allowed(request: Request) -> dict[str, str]:
    """What every route at this address takes; the framework's own header names the first one's alone."""
    plain = {name: request.scope[name] for name in ("type", "path", "method", "root_path", "headers")}
    routes = [route for route in (*router.routes, *request.app.routes) if route.matches(dict(plain))[0] is not Match.NONE]
    return {"Allow": ", ".join(sorted({method for route in routes for method in getattr(route, "methods", None) or ()}))}


def _malformed(request: Request, error: Exception) -> Response:
    """Where the call is wrong and why, without what it said: that may be anything."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    parts = [
        f"{'.'.join(map(str, item['loc'][1:])) or item['loc'][0]}: {item['msg'].removeprefix('Value error, ')}"
        for item in found
    ]
    return _said(request, 422, "; ".join(parts)[:1000])


def _unusable(request: Request, error: Exception) -> Response:
    LOG.error("the store cannot be used: %s", error)
    return _said(request, 503, BUSY, {"Retry-After": "5"})


def _faulty(request: Request, error: Exception) -> Response:
    return _said(request, 500, "a fault in the server; its operator finds it in the log")
