"""Look for the files of a published set in several places, in order; one error lists all places that were tried."""

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
    what: str = "files",
) -> tuple[Path, str]:
    """Find the folder with a set's files; fetch the files where no place has them.

    Args:
        name: name of the set, for the error.
        places: label -> folder, in the order of the search.
        missing: returns the names of the files that a folder lacks.
        fetchers: tried in order, where `download` allows it.
        data_root: folder for downloads.
        download: whether the network may be used.
        advice: what the user can do, one sentence.
        what: what the set lacks, for the error.

    Returns:
        The folder, and one line that says where its files come from.

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
    raise DataUnavailableError([f"{name}: its {what} are not available; tried", *tried, advice])
