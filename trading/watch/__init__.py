"""What the watchdog looks at, and what it does when nobody trades."""
