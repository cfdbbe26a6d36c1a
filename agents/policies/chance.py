"""Chance without state: the same key and observation always draw the same number, in a replay as live."""

import hashlib

import numpy as np


def uniform(key: bytes, observation: np.ndarray) -> float:
    """Return a number in [0, 1) from a key of at most 64 bytes and the bits of an observation."""
    digest = hashlib.blake2b(observation.tobytes(), digest_size=8, key=key).digest()
    return (int.from_bytes(digest, "little") >> 11) / 2.0**53
