"""Alerts on their way to people: the outbox, the channels, the sender."""
