"""`python -m study.cache list|verify|prune`: look after the teacher's cached features, and stores of small images."""

from study.terminal.signals import command_of, end_process

if __name__ == "__main__":  # before the imports
    end_process(command_of("study.cache"))

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from study.entry.continuation import report_faults
from study.planning.plan import OPTIONS
from study.planning.readers import absolute
from study.terminal.command_line import command_line
from study.terminal.output import outliving_its_reader
from study.terminal.progress import size_on_disk
from trainables.cckd.data.store.inventory import StoreEntry, store_entries
from trainables.cckd.teacher.cache.cache_lock import CacheLock
from trainables.cckd.teacher.cache.inventory import CacheEntry, entries


@outliving_its_reader()
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (0 done, 1 a cache cannot be used, 2 wrong usage)."""
    parser = argparse.ArgumentParser(prog=command_line("cache"), description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (
        ("list", "show what is cached"),
        ("verify", "read every finished cache and check it against its hash"),
        (
            "prune",
            "remove caches and fits of other versions, or damaged ones; a cache or store that a study uses stays",
        ),
    ):
        OPTIONS["data_root"].add_to(commands.add_parser(name, help=what, description=what, allow_abbrev=False))
    prune = commands.choices["prune"]
    prune.add_argument("--unfinished", action="store_true", help="remove unfinished caches and fits too")
    prune.add_argument("--all", action="store_true", help="remove everything")
    args = parser.parse_args(argv)

    given = OPTIONS["data_root"].default if args.data_root is None else args.data_root
    data_root = absolute(given)
    if not given or not data_root.is_dir():
        return report_faults([f"--data-root must be a folder that exists; got {given!r}"])
    root, stores = data_root / "teacher-cache", store_entries(data_root)
    if args.command == "list":
        return _list(root, stores)
    if args.command == "verify":
        return _verify(root, stores)
    return _prune(root, stores, unfinished=args.unfinished, everything=args.all)


def _list(root: Path, stores: Sequence[StoreEntry]) -> int:
    for store in stores:
        version = "" if store.reachable else ", of another version"
        print(f"{store.folder.name:<12}  {size_on_disk(store.n_bytes):>9}  {store.n_files:,} small images{version}")
    found = entries(root)
    for entry in found:
        print(f"{entry.folder.name[:12]}  {size_on_disk(entry.n_bytes):>9}  {_what(entry)}")
    print(f"{len(found)} in {root}, {size_on_disk(sum(entry.n_bytes for entry in found))}")
    return 0


def _verify(root: Path, stores: Sequence[StoreEntry]) -> int:
    n_bad = 0
    for store in stores:
        n_damaged = store.n_damaged()
        n_bad += n_damaged > 0
        again = f"BAD: {n_damaged} of {store.n_files:,} files are damaged; studies that need them make them again"
        print(f"{store.folder.name:<12}  {again if n_damaged else 'good'}")
    for entry in entries(root):
        fault = entry.fault() if entry.complete else None
        n_bad += fault is not None
        verdict = "unfinished" if not entry.complete else "good" if fault is None else f"BAD: {fault}"
        print(f"{entry.folder.name[:12]}  {verdict}")
    print(f"{n_bad} cannot be used" if n_bad else "no fault found")
    return 1 if n_bad else 0


def _prune(root: Path, stores: Sequence[StoreEntry], *, unfinished: bool, everything: bool) -> int:
    def reason(entry: CacheEntry) -> str | None:
        if everything:
            return "asked for"
        if not entry.complete:
            if unfinished:
                return "unfinished"
            return None if entry.key is None or entry.reachable else "of other library versions"
        if not entry.reachable:
            return "of other library versions"
        return "damaged" if entry.fault() else None

    freed = sum(
        _without(store, "asked for" if everything else "of another version")
        for store in stores
        if everything or not store.reachable
    )
    for entry in entries(root):
        why, name = reason(entry), entry.folder.name[:12]
        try:
            if why is None:
                freed += entry.remove_leftovers(unfinished=unfinished)
            elif entry.remove():
                freed += entry.n_bytes
                print(f"{name}  removed: {why}")
            else:
                print(f"{name}  kept, a study uses it: {why}")
        except OSError as error:  # another user of the machine has made it
            print(f"{name}  kept: {error.strerror}")
    print(f"{size_on_disk(freed)} freed")
    return 0


def _without(store: StoreEntry, why: str) -> int:
    """Remove a store unless a study uses it, or another user's right forbids it; return the bytes freed."""
    name = f"{store.folder.name:<12}"
    try:
        with CacheLock(store.folder) as claim:
            if not claim.try_take():
                print(f"{name}  kept, a study uses it: {why}")
                return 0
            shutil.rmtree(store.folder)
            claim.remove_file()
    except OSError as error:
        print(f"{name}  kept: {error.strerror}")
        return 0
    print(f"{name}  removed: {why}")
    return store.n_bytes


def _what(entry: CacheEntry) -> str:
    if entry.key is None:
        return "of unknown content" if entry.complete else f"unfinished, {entry.n_parts} parts"
    shape = " x ".join(map(str, entry.key.shape))
    read = "" if entry.key.features == "final" else f" {entry.key.features},"
    what = (
        f"{entry.key.teacher} {entry.key.size} px,{read} {entry.key.subset} {shape}, data {entry.key.data_sha256[:8]}"
    )
    if not entry.complete:
        what += f", unfinished ({entry.n_parts} parts)"
    return what if entry.reachable else f"{what}, of other library versions"
