"""Stores are found by the names of their folders, with what lies in them."""

from pathlib import Path

from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.store.image_store import ImageStore
from trainables.cckd.data.store.inventory import store_entries


def test_stores_are_found_with_their_files_and_other_folders_are_left_alone(store, originals: ImageFiles) -> None:
    data_root = store.root.parent
    assert store_entries(data_root) == ()
    n_bytes = sum(store.make(originals, row) for row in range(4))
    for other in ("64px-0", "x", "64px", "px-1"):
        (store.root / other).mkdir()
    found = {entry.folder.name: entry for entry in store_entries(data_root)}
    assert set(found) == {store.folder.name, "64px-0"}
    own = found[store.folder.name]
    assert (own.n_files, own.n_bytes, own.reachable, own.n_damaged()) == (4, n_bytes, True, 0)
    assert (found["64px-0"].n_files, found["64px-0"].reachable) == (0, False)


def test_every_kind_of_damage_counts(store: ImageStore, originals: ImageFiles) -> None:
    for row in range(4):
        store.make(originals, row)
    torn, empty, _, renamed = sorted(store.folder.rglob("*.jpg"))
    torn.write_bytes(torn.read_bytes()[:-1])
    empty.write_bytes(b"")
    renamed.rename(Path(renamed).with_name(f"{'0' * 32}.jpg"))
    (entry,) = store_entries(store.root.parent)
    assert (entry.n_files, entry.n_damaged()) == (4, 3)
