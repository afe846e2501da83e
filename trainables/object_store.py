"""An object store behind a URI: how it is opened, asked again while it does not answer, and what its errors mean.

Region, endpoint and keys come from the environment, as for the store's own tools, because a URI is written into the
manifest. pyarrow asks a store three times within seconds. An outage of a minute must not cost a study its trials.
"""

import errno
import re
import subprocess
import sys
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any, ParamSpec, TypeVar

#: Object stores, and local files through the same interface.
SCHEMES = ("s3", "gs", "file")

#: Seconds for which a store that does not answer is asked again, and the longest pause between two questions.
PATIENCE_S, _PAUSE_S = 120.0, 8.0
#: Seconds after which a store that has not answered at the start of a study is refused.
_PROBE_S = 25.0
#: Writes, lists and removes one small object. A process of its own can be ended: pyarrow cannot be interrupted.
_PROBE = """
import sys
from pyarrow.fs import FileSelector, FileSystem, FileType
try:
    store, base = FileSystem.from_uri(sys.argv[1])
    bucket = base.partition("/")[0]
    if bucket and store.get_file_info(bucket).type == FileType.NotFound:  # Google's would be made
        sys.exit(f"Bucket '{bucket}' not found")
    store.create_dir(base, recursive=True)
    with store.open_output_stream(f"{base}/seen") as stream:
        stream.write(b"seen")
    store.get_file_info(FileSelector(base))
    store.delete_dir(base)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""

_KEYS = "s3://: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile; gs://: GOOGLE_APPLICATION_CREDENTIALS"
_ADDRESS = "AWS_ENDPOINT_URL names one that is not Amazon's"
#: What is found in an error of a store, what that means, and whether asking again is vain. The first that fits counts.
_MEANINGS = (
    (r"Bucket '.*' not found|NO_SUCH_BUCKET|[Bb]ucket does not exist", "its bucket does not exist", True),
    (
        r"ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN|EXPIRED_TOKEN"
        r"|UNAUTHENTICATED|PERMISSION_DENIED|OAuth2 access token|HTTP status 40[13]",
        f"it refuses the keys in the environment ({_KEYS})",
        True,
    ),
    (r"PERMANENT_REDIRECT|HTTP status 301", "its bucket lies in another region; set AWS_REGION", True),
    (
        r"curlCode: [67]\b|CURL error \[[67]\]|[Cc]ould not resolve|[Cc]onnection refused",
        f"nothing answers at its address ({_ADDRESS})",
        False,
    ),
    (r"curlCode: 28\b|[Tt]imeout|timed out", "it answers too slowly", False),
    (r"HTTP status 5\d\d|SLOW_DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE", "it is out of order", False),
)

#: What a local disk says of a place that no waiting makes writable.
_FINAL_ERRNOS = frozenset(
    (errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP)
)

P = ParamSpec("P")
R = TypeVar("R")


class StorageError(OSError):
    """An object store does not do what it is asked, also when it is asked again; says why in one line."""


def open_store(uri: str) -> tuple[Any, str]:
    """Return pyarrow's file system of a store, and the path within it."""
    from pyarrow.fs import FileSystem

    store, base = FileSystem.from_uri(_bounded(uri))
    return store, base


def _bounded(uri: str) -> str:
    """Return the URI with a limit for Google's client, which would ask for a quarter of an hour without a word."""
    return f"{uri}?retry_limit_seconds=5" if uri.startswith("gs://") else uri


def meaning(error: str) -> tuple[str, bool]:
    """Return in words what the text of an error of a store means, and whether asking again is vain."""
    plain = " ".join(error.split())
    for pattern, words, final in _MEANINGS:
        if re.search(pattern, plain):
            return f"{words}: {plain[-200:]}", final
    return plain[-200:], False


def patiently(root: str, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return what `call` returns; call it again while the store at `root` is out of order.

    Raises:
        FileNotFoundError: the store says so.
        StorageError: the store refuses, or is still out of order after PATIENCE_S.
    """
    start, pause_s = time.monotonic(), 0.5
    while True:
        try:
            return call(*args, **kwargs)
        except FileNotFoundError:
            raise
        except OSError as error:
            words, final = meaning(str(error))
            if final or error.errno in _FINAL_ERRNOS or time.monotonic() - start > PATIENCE_S:
                raise StorageError(f"the storage {root} fails: {words}") from error
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _PAUSE_S)


def probe(uri: str) -> str | None:
    """Write, list and remove an object under `uri`; return in words why that fails, None where it does not."""
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _PROBE, _bounded(f"{uri}/.probe-{token_hex(8)}")],
            capture_output=True, text=True, timeout=_PROBE_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"it answers too slowly: not within {_PROBE_S:g} s"
    return None if asked.returncode == 0 else meaning(asked.stderr)[0]
