"""Where a published set's files are looked for, in order, and the one error when no place has them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trainables.cckd.data.images.sets import DataUnavailableError
from trainables.cckd.data.sources.fetch import Fetcher


def locate(
    name: str,
    places: Mapping[str, Path],
    missing: Callable[[Path], Sequence[str]],
    *,
    fetchers: Sequence[Fetcher] = (),
    data_root: Path,
    download: bool,
    advice: str,
) -> tuple[Path, str]:
    """Find the folder that holds a set's files; fetch them where no place has them.

    Args:
        name: of the set, for the error.
        places: label -> folder, in the order they are looked at.
        missing: the names of the files that a folder lacks.
        fetchers: tried in order, where `download` allows it.
        data_root: what the fetchers fill.
        download: whether the network may be used.
        advice: what the user can do, one sentence.

    Returns:
        the folder, and one line that says where it is from.

    Raises:
        DataUnavailableError: no place had them; lists every place tried, then the advice.
    """
    tried = []
    for label, folder in places.items():
        absent = missing(folder)
        if not absent:
            return folder, f"{label}, {folder}"
        tried.append(f"{label}, {folder}: no {absent[0]}" + (f" and {len(absent) - 1} more" if absent[1:] else ""))
    for fetcher in fetchers:
        if not download:
            tried.append(f"{fetcher.label}: not tried, downloads are switched off")
            continue
        try:
            folder = fetcher.fetch(data_root)
        except OSError as error:
            tried.append(f"{fetcher.label}: {error}")
            continue
        return folder, f"{fetcher.label}, kept in {folder}"
    raise DataUnavailableError([f"{name}: its files could not be had; tried", *tried, advice])
