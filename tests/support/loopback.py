# SPDX-License-Identifier: Apache-2.0
"""A server on loopback, in a thread of its own, for what a test has to answer or to receive."""
import http.server
import threading

METRICS = "text/plain; version=0.0.4"


class Handler(http.server.BaseHTTPRequestHandler):
    """Has do_GET or do_POST besides."""

    def sent(self):
        return self.rfile.read(int(self.headers["Content-Length"]))

    def answer(self, body=b"", status=200, content_type=None):
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server:
    def __init__(self, handler, kind=http.server.ThreadingHTTPServer):
        self._server = kind(("127.0.0.1", 0), handler)
        self.port = self._server.server_address[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
