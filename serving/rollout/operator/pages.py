"""The operator's pages, for Prometheus and for the kubelet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import generate_latest

from serving.rollout.operator.metrics import Metrics


class Pages:
    """/metrics and /healthz.

    Args:
        listen: host and port.
        metrics: what /metrics shows.
        healthy: what /healthz says.
    """

    def __init__(self, listen: str, metrics: Metrics, healthy: Callable[[], bool]) -> None:
        host, _, port = listen.rpartition(":")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    code, body = 200, generate_latest(metrics.registry)
                elif self.path == "/healthz":
                    well = healthy()
                    code, body = (200, b"ok\n") if well else (503, b"a step hangs\n")
                else:
                    code, body = 404, b"there is /metrics and /healthz\n"
                self.send_response(code)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Not worth a line."""

        self._server = ThreadingHTTPServer((host or "127.0.0.1", int(port)), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
