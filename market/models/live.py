"""What was seen of a live market, kept exactly as seen so that every decision can be replayed."""

from django.db import models


class Tick(models.Model):
    """Top of book of one pair at one instant of the venue's clock."""

    market = models.CharField(
        max_length=450
    )  # where it was seen, e.g. "roostoo:https://mock-api.roostoo.com", and by which price stream
    pair = models.CharField(max_length=30)
    at_ms = models.BigIntegerField()  # venue clock
    bid = models.DecimalField(max_digits=28, decimal_places=12)
    ask = models.DecimalField(max_digits=28, decimal_places=12)
    last = models.DecimalField(max_digits=28, decimal_places=12)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["market", "pair", "at_ms"], name="tick_once")]

    def __str__(self) -> str:
        return f"{self.pair} {self.last} at {self.at_ms}"


class LiveBar(models.Model):
    """One closed bar as a live session saw it. A later correction by the source does not change it."""

    market = models.CharField(max_length=680)  # where it comes from: whatever its figures depend on
    pair = models.CharField(max_length=30)
    interval_ms = models.PositiveBigIntegerField()
    open_ms = models.BigIntegerField()
    open = models.FloatField()
    high = models.FloatField()
    low = models.FloatField()
    close = models.FloatField()
    volume = models.FloatField()
    origin = models.CharField(max_length=10)  # "candles" from a candle source, "ticks" built from tickers

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["market", "pair", "interval_ms", "open_ms"], name="live_bar_once")
        ]

    def __str__(self) -> str:
        return f"{self.pair} {self.open_ms}"
