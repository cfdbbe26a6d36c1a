"""Feature matrices on disk, so that each is computed once per series and feature set."""

import hashlib
import logging
import os
import tempfile
import zlib
from pathlib import Path

import numpy as np
from django.conf import settings

from market.candles import Candles
from market.features import indicators
from market.features.batch import compute
from market.features.specs import FeatureSet

logger = logging.getLogger(__name__)
MAX_BYTES = 4 * 1024**3  # of all files; the least recently used go first


def cached(fingerprint: str, candles: Candles, feature_set: FeatureSet) -> np.ndarray:
    """Return `compute(candles, feature_set)`, from the cache where it holds it undamaged.

    :param fingerprint: `market.archive.fingerprint` of these candles themselves: a row of their series, read
        a moment earlier, may name others by the time the files are read
    """
    path = _path(fingerprint, candles, feature_set)
    rows = _read(path, len(feature_set), len(candles))
    if rows is None:
        rows = compute(candles, feature_set)
        _keep(path, rows)
    return rows


def _path(fingerprint: str, candles: Candles, feature_set: FeatureSet) -> Path:
    stretch = (len(candles), *(candles.open_ms[[0, -1]].tolist() if len(candles) else ()))
    key = repr((fingerprint, feature_set.hash, candles.interval_ms, stretch, indicators.VERSION))
    return Path(settings.VAR_DIR) / "features" / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.f64"


def _read(path: Path, columns: int, rows: int) -> np.ndarray | None:
    """Return the matrix, or None where the file is absent or damaged: the columns, then a checksum."""
    try:
        words = np.fromfile(path, dtype=np.float64)
    except OSError:
        return None
    if len(words) != columns * rows + 1 or words[-1] != zlib.crc32(words[:-1].data):
        logger.warning("damaged feature cache, computing again file=%s", path.name)
        return None
    os.utime(path)
    return words[:-1].reshape(columns, rows).T


def _keep(path: Path, rows: np.ndarray) -> None:
    """Write the file whole or not at all. A full disk costs the cache, not the caller."""
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            part = Path(file.name)
            block = np.ascontiguousarray(rows.T)
            block.tofile(file)
            np.array([zlib.crc32(block.data)], dtype=np.float64).tofile(file)
        part.replace(path)
        _prune(path)
    except OSError as error:
        logger.warning("feature cache not written: %s", error)
        if part is not None:
            part.unlink(missing_ok=True)


def _prune(newest: Path) -> None:
    files = sorted(newest.parent.iterdir(), key=lambda file: file.stat().st_mtime)
    total = sum(file.stat().st_size for file in files)
    for file in files:
        if total <= MAX_BYTES or file == newest:
            return
        total -= file.stat().st_size
        file.unlink(missing_ok=True)
