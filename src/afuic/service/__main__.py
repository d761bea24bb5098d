"""``python -m afuic.service federation.toml``: the API served by uvicorn, over TLS."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn

from afuic import tls
from afuic.errors import AfuicError, ConfigError
from afuic.service.app import create_app
from afuic.settings import LOOPBACK, Api, Server, load, private
from afuic.store.book import Book
from afuic.text import log_to, shown

USAGE = "usage: python -m afuic.service FEDERATION.toml"
CONNECTIONS, HEADER_BYTES = 128, 16384


def configured(settings: Server) -> uvicorn.Config:
    """How uvicorn serves these settings; ConfigError where they would send tokens in the clear."""
    api = settings.api
    if api.certificate is None and api.host not in LOOPBACK:
        raise ConfigError(f"api.host: {api.host} is open to the network, so api.certificate and api.key are needed")
    return uvicorn.Config(
        create_app(settings, lambda: Book.open(settings.database, settings.store, witness=settings.witness)),
        host=api.host,
        port=api.port,
        ssl_certfile=api.certificate,
        ssl_keyfile=_key(api),
        ssl_ciphers=tls.SUITES,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips="127.0.0.1,::1",
        http="h11",
        h11_max_incomplete_event_size=HEADER_BYTES,
        ws="none",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=10,
    )


def _key(api: Api) -> Path | None:
    for path in (api.certificate, api.key):
        if api.certificate is not None and (path is None or not path.is_file()):
            raise ConfigError(f"{path or 'api.key'}: no such file, but TLS needs it; 'afuic deploy init' writes it")
    return private(api.key) if api.certificate is not None and api.key is not None else None


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or Ctrl-C; 2 where the settings are unusable."""
    log_to(sys.stderr)
    if len(arguments) != 1:
        sys.stderr.write(USAGE + "\n")
        return 2
    try:
        config = configured(load(Path(arguments[0]), Server))
    except AfuicError as error:
        sys.stderr.write(f"afuic: {shown(str(error))}\n")
        return 2
    uvicorn.Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
