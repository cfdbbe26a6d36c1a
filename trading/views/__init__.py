"""Pages about trading."""
