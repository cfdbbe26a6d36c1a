"""Forms about data."""

from django import forms

from market.web.fields import interval_field


class ImportForm(forms.Form):
    upload = forms.FileField(
        label="Candle file",
        help_text="CSV, JSON, feather or Parquet from Binance, CryptoDataDownload, Kaggle Bitstamp or "
        "freqtrade; the format is recognised.",
    )
    pair = forms.CharField(
        max_length=30, required=False, help_text="Like BTC/USD. Needed only when the file does not say it."
    )
    interval = interval_field(required=False, help_text="Needed only when the file does not say it.")
