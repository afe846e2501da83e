"""A real S3 server on this machine (moto's), whose answers a test can spoil: refused, slow, or not at all."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

BUCKET = "studies"
_ERROR = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>as the test asks</Message></Error>"

#: Says of a request (method, path) how its answer is spoiled: (HTTP status, S3's error code), or None for the true one.
Spoil = Callable[[str, str], tuple[int, str] | None]


class S3Server:
    """The server.

    Attributes:
        url: where it listens.
        delay_s: how long it waits before every answer.
        spoil: asked for every request.
        n_spoilt: answers that it has spoilt.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.restore()

    def restore(self) -> None:
        """Answer truly from now on."""
        self.delay_s = 0.0
        self.n_spoilt = 0
        self.spoil: Spoil = lambda method, path: None

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to reach it, as AWS's own tools read it."""
        return environment(self.url)

    def objects(self) -> list[str]:
        """The names of all objects in the bucket, folders left out."""
        from moto.s3.models import s3_backends

        stored = s3_backends["123456789012"]["aws"].buckets[BUCKET].keys
        return sorted(name for name in stored if not name.endswith("/"))

    def wrapped(self, app: Any) -> Callable[[Mapping[str, Any], Any], Iterable[bytes]]:
        """The WSGI application `app` with spoilt answers."""

        def answer(request: Mapping[str, Any], start_response: Any) -> Iterable[bytes]:
            time.sleep(self.delay_s)
            spoilt = self.spoil(request["REQUEST_METHOD"], request["PATH_INFO"])
            if spoilt is None:
                return app(request, start_response)  # type: ignore[no-any-return]
            self.n_spoilt += 1
            status, code = spoilt
            request["wsgi.input"].read(int(request.get("CONTENT_LENGTH") or 0))
            start_response(f"{status} {code}", [("Content-Type", "application/xml")])
            return [_ERROR.format(code=code).encode()]

        return answer


def environment(url: str) -> dict[str, str]:
    """The variables of an S3 store at `url`, as AWS's own tools read them."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start a server with one empty bucket; skip the test where moto is not installed."""
    pytest.importorskip("moto", reason="moto, of the extra `test`, is not installed")
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            pass

    server = S3Server("")
    app = server.wrapped(DomainDispatcherApplication(create_backend_app))
    http = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        import urllib.request

        urllib.request.urlopen(urllib.request.Request(f"{server.url}/{BUCKET}", method="PUT"), timeout=30).close()
        yield server
    finally:
        http.shutdown()
        thread.join()
