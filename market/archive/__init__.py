"""The candle archive: Parquet files per UTC month, and rows that say what they cover."""

from market.archive.combine import Overlap
from market.archive.files import ParquetError, read_parquet
from market.archive.identity import fingerprint
from market.archive.store import MergeResult, load, merge, remove_orphans, root

__all__ = ["MergeResult", "Overlap", "ParquetError", "fingerprint", "load", "merge", "read_parquet",
           "remove_orphans", "root"]  # fmt: skip
