"""Candle files as people have them: recognised, checked row by row, and turned into candles."""

from market.sources.files.read import FORMATS, Parsed, glance, read

__all__ = ["FORMATS", "Parsed", "glance", "read"]
