"""How the service listens: one place for what uvicorn is told."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI


def server(app: FastAPI, host: str, port: int) -> uvicorn.Server:
    """Return a server that says nothing of itself and writes no addresses or paths to a log.

    Looks at calls are in the access log, where they belong.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=64 << 10,
        )
    )
