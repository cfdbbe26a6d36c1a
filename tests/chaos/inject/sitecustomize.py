"""Imported by every Python process that has this folder on its path: only those of chaos runs have."""

import os

if "CHAOS_POINTS" in os.environ:
    import chaos_points

    chaos_points.install()
