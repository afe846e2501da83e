"""The text Ray keeps of a trial's errors, cut down to the last one's type and message."""

import re

#: Ray writes this above each error of a trial.
_HEAD = re.compile(r"^Failure # \d+ \(occurred at .*\)\n", re.MULTILINE)
_FRAME = re.compile(r'\s*File ".*", line \d+')
_MODULE = re.compile(r"\A(?:\w+\.)+(?=\w+(?::|$))")


def last_error(text: str) -> str:
    """Return 'ValueError: message' of the last error in Ray's error file, and all of an error without a traceback.

    A message may have several lines; before it stand the last frame and, indented, its source.
    """
    error = _HEAD.split(text)[-1].strip()
    lines = error.splitlines()
    frames = [index for index, line in enumerate(lines) if _FRAME.match(line)]
    if not frames:
        return error
    start = frames[-1] + 1
    while start < len(lines) - 1 and lines[start].startswith("    "):
        start += 1
    return _MODULE.sub("", "\n".join(lines[start:]))
