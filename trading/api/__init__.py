"""REST about trading."""
