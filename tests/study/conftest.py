"""The toy search, for every test of `study`."""

from tests.support.toy_search import _no_fsync, database, epoch, ledger, seed_of, settings, space

__all__ = ["_no_fsync", "database", "epoch", "ledger", "seed_of", "settings", "space"]
