"""Forms about trading. The secret goes in and never comes out."""

from typing import Any

from django import forms

from agents.forms import PolicyField, policy_choices
from market.position_words import POSITION_WORDS
from market.web.fields import interval_field
from market.web.ownership import visible
from trading.exchanges.registry import LABELS
from trading.execution import KEYS, STYLES
from trading.models import (
    Account,
    AlertChannel,
    AlertKind,
    AlertLevel,
    AlertRule,
    ChannelKind,
    ForeignOrders,
    RiskProfile,
)

DURATIONS = [("", "until stopped"), ("86400", "24 hours"), ("604800", "7 days")]


class OnAccount(forms.Form):
    """What trades: on which account and within which limits. The only account is chosen already."""

    account = forms.ModelChoiceField(queryset=Account.objects.none())
    risk = forms.ModelChoiceField(
        queryset=RiskProfile.objects.none(),
        required=False,
        label="Risk profile",
        help_text="Empty: the default limits.",
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        accounts = visible(Account, user).filter(is_active=True)
        self.fields["account"].queryset = accounts  # type: ignore[attr-defined]
        self.fields["risk"].queryset = visible(RiskProfile, user)  # type: ignore[attr-defined]
        first = list(accounts[:2])
        if len(first) == 1:
            self.initial.setdefault("account", first[0].pk)


class EndForm(forms.Form):
    """What a person knows of an order that nobody else can end."""

    reason = forms.CharField(max_length=200)
    filled = forms.DecimalField(required=False, max_digits=28, decimal_places=12)
    price = forms.DecimalField(required=False, max_digits=28, decimal_places=12)


class SessionForm(OnAccount):
    field_order = ("policy", "account", "pair", "interval", "risk")
    policy = PolicyField(label="Model, fixed rule or council")
    pair = forms.CharField(max_length=30, help_text="As the venue spells it, like BTC/USD.")
    interval = interval_field(initial="1m", help_text="Must be the interval the model has learned on.")
    capital = forms.DecimalField(
        min_value=0,
        max_digits=20,
        decimal_places=8,
        required=False,
        help_text="Quote currency to trade with. Empty: what is free in the account.",
    )
    duration_s = forms.TypedChoiceField(
        choices=DURATIONS, coerce=int, empty_value=None, required=False, label="Duration"
    )
    style = forms.ChoiceField(
        choices=list(STYLES.items()),
        required=False,
        label="Order style",
        help_text="A limit order pays half the fee where it is filled while it rests.",
    )
    deadline_s = forms.FloatField(
        min_value=1,
        max_value=3600,
        required=False,
        label="Limit: deadline (s)",
        help_text="After this the rest goes to market. Empty: 60.",
    )
    requote_s = forms.FloatField(
        min_value=5,
        max_value=3600,
        required=False,
        label="Limit: re-quote after (s)",
        help_text="Least time between two prices, times the sessions at work on the account. Empty: 30.",
    )
    children = forms.IntegerField(
        min_value=2, max_value=50, required=False, label="Split: orders", help_text="Empty: 4."
    )
    over_s = forms.FloatField(
        min_value=1, max_value=21_600, required=False, label="Split: over (s)", help_text="Empty: 60."
    )
    activity_s = forms.FloatField(
        min_value=0,
        max_value=86_400,
        required=False,
        label="Activity floor (s)",
        help_text="So long before an idle UTC day ends one small trade is made. Empty: off.",
    )
    activity_share = forms.FloatField(
        min_value=0.001,
        max_value=0.2,
        required=False,
        label="Activity floor: size",
        help_text="Of that trade, as a share of equity. Empty: 0.02.",
    )
    turnover_budget = forms.FloatField(
        min_value=0,
        max_value=10_000,
        required=False,
        label="Turnover budget",
        help_text="Traded per UTC day as a multiple of equity; then exits only. Empty: off.",
    )
    name = forms.CharField(max_length=120, required=False)

    def clean(self) -> dict[str, Any]:
        """Gather what concerns execution into the session's settings; what is empty keeps its default."""
        given = super().clean() or {}
        chosen = {key: given.pop(key, None) for key in KEYS if key in self.fields}
        given["settings"] = {key: value for key, value in chosen.items() if value not in (None, "")}
        return given

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        self.fields["policy"].choices = policy_choices(user)  # type: ignore[attr-defined]

    def clean_capital(self) -> Any:
        capital = self.cleaned_data["capital"]
        if capital == 0:
            raise forms.ValidationError("Capital must be above 0, or empty for all that is free.")
        return capital


def poll_field() -> forms.FloatField:
    return forms.FloatField(
        min_value=0.05,
        max_value=3600,
        initial=5,
        label="Seconds between prices",
        help_text="Well below the length of a bar; on a replay at 60x a minute lasts one second.",
    )


class PollForm(forms.Form):
    poll_s = poll_field()


class AccountForm(forms.Form):
    name = forms.CharField(max_length=80)
    venue = forms.ChoiceField(choices=list(LABELS.items()))
    base_url = forms.URLField(
        max_length=200,
        label="Address",
        initial="https://mock-api.roostoo.com",
        assume_scheme="https",
        help_text="Test networks: https://testnet.binance.vision, https://api-testnet.bybit.com.",
    )
    candles_url = forms.URLField(
        max_length=200,
        required=False,
        label="Candles from",
        initial="https://api.binance.com",
        assume_scheme="https",
        help_text="A Binance-compatible address for warm-up and closed bars.",
    )
    stream_url = forms.CharField(
        max_length=200,
        required=False,
        label="Price stream",
        help_text="wss://stream.binance.com:9443 or wss://stream.bybit.com; empty: prices are polled.",
    )
    key = forms.CharField(max_length=200, required=False, label="API key")
    secret = forms.CharField(
        max_length=400,
        required=False,
        label="API secret",
        strip=True,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
        help_text="Stored encrypted; never shown again.",
    )
    calls_per_minute = forms.IntegerField(
        min_value=1, max_value=100_000, initial=28, help_text="Roostoo allows 30, Binance and Bybit hundreds."
    )
    poll_s = poll_field()
    foreign_orders = forms.ChoiceField(
        choices=ForeignOrders.choices,
        initial=ForeignOrders.ADOPT,
        required=False,
        label="Orders placed by hand",
        help_text="What sessions make of orders on this account that they did not send.",
    )

    def clean_foreign_orders(self) -> str:
        return self.cleaned_data["foreign_orders"] or ForeignOrders.ADOPT


class SecretForm(forms.Form):
    key = forms.CharField(max_length=200, label="New API key")
    secret = forms.CharField(
        max_length=400,
        label="New API secret",
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
    )


class TokenForm(forms.Form):
    hours = forms.IntegerField(
        min_value=1, max_value=24 * 365, initial=24 * 30, label="Valid for hours", help_text="At most a year."
    )


class CapForm(forms.Form):
    account = forms.ModelChoiceField(
        queryset=Account.objects.none(), required=False, empty_label="all my accounts", help_text="Its scope."
    )
    currency = forms.CharField(max_length=20, initial="USD", help_text="Of the pairs it covers.")
    max_total = forms.DecimalField(
        min_value=0, max_digits=20, decimal_places=8, initial=0, help_text="Value of all positions; 0 is off."
    )
    max_per_pair = forms.DecimalField(
        min_value=0, max_digits=20, decimal_places=8, initial=0, help_text="Value held in one pair; 0 is off."
    )
    max_open = forms.IntegerField(
        min_value=0, max_value=1_000_000, initial=0, label="Max open positions", help_text="0 is off."
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"].queryset = visible(Account, user)  # type: ignore[attr-defined]


class RiskForm(forms.ModelForm):
    class Meta:
        model = RiskProfile
        fields = (
            "name",
            "max_exposure",
            "max_order_share",
            "stop_loss",
            "take_profit",
            "trailing_stop",
            "min_confidence",
            "min_move",
            "min_move_bars",
            "daily_loss",
            "max_drawdown",
            "max_stale_s",
            "max_spread",
            "max_trades_per_day",
            "entry_stale_s",
            "exit_cooldown_s",
            "loss_cooldown_s",
            "max_position",
            "max_leverage",
            "price_collar",
            "weekly_loss",
            "safe_drawdown",
            "safe_share",
            "safe_cooldown_s",
            "max_loss_streak",
            "max_error_share",
            "min_entropy",
            "max_psi",
            "max_ks",
            "max_turnover",
            "approval_above",
            "approval_s",
            *POSITION_WORDS,
        )
        labels = {
            "max_stale_s": "Max stale (seconds)",
            "min_move_bars": "Min move over (bars)",
            "entry_stale_s": "Entry: max age of the price (seconds)",
            "exit_cooldown_s": "Entry: wait after an exit (seconds)",
            "loss_cooldown_s": "Entry: wait after a loss (seconds)",
            "price_collar": "Entry: price collar",
            "safe_drawdown": "Safe mode at drawdown",
            "safe_share": "Safe mode: largest position",
            "safe_cooldown_s": "Safe mode lasts (seconds)",
            "max_loss_streak": "Safe mode after losses in a row",
            "max_error_share": "Safe mode at venue error rate",
            "min_entropy": "Safe mode below action entropy",
            "max_psi": "Safe mode above PSI of the inputs",
            "max_ks": "Safe mode above KS of the inputs",
            "max_turnover": "Safe mode above turnover",
            "approval_above": "Approval by a person above",
            "approval_s": "Approval within (seconds)",
            **{name: label for name, (label, _) in POSITION_WORDS.items()},
        }
        help_texts = {
            "max_exposure": "Share of equity that may be invested, 0.5 = half.",
            "max_order_share": "Share of equity that one order may move.",
            "stop_loss": "0.02 sells 2 % below the entry; 0 is off.",
            "take_profit": "0.03 sells 3 % above the entry; 0 is off.",
            "trailing_stop": "Follows the highest price since entry; 0 is off.",
            "min_confidence": "Below this probability of the chosen action the agent holds.",
            "min_move": "If the price moved less than this share, the agent holds; 0 is off.",
            "daily_loss": "Share of the day's first equity that may be lost before entries stop; 0 is off.",
            "max_drawdown": "Fall from the peak of equity at which entries stop; 0 is off.",
            "max_stale_s": "An older price is unknown: nothing is decided on it.",
            "max_spread": "Share of price; wider spreads are not traded.",
            "max_trades_per_day": "0 is unlimited.",
            "entry_stale_s": "On an older price nothing is entered; exits still act.",
            "exit_cooldown_s": "No entry for so long after any exit; 0 is off.",
            "loss_cooldown_s": "No entry for so long after an exit with a loss; 0 is off.",
            "max_position": "Largest value of the position, in quote currency; 0 is off.",
            "max_leverage": "Largest value of the position over equity; sessions trade without leverage.",
            "price_collar": "No entry when the price is further from the last close, 0.05 = 5 %; 0 is off. "
            "An approved order is held against the price it was planned at.",
            "weekly_loss": "Share of the week's first equity (from Monday, UTC); then as the daily loss.",
            "safe_drawdown": "Fall from the peak after which only exits and tiny trades go on; 0 is off.",
            "safe_share": "Share of equity that a position may reach in safe mode.",
            "safe_cooldown_s": "How long safe mode lasts after what caused it is over.",
            "max_loss_streak": "Closing trades with a loss, one after the other; 0 is off.",
            "max_error_share": "Share of the last 20 turns in which the venue failed, 0.5 = half; 0 is off.",
            "min_entropy": "1 is chance, 0 always sure; below it the policy has collapsed; 0 is off.",
            "max_psi": "Median over the features, against training; above 0.25 is a shift; 0 is off.",
            "max_ks": "Median distance of the features' distributions from training, 0 to 1; 0 is off.",
            "max_turnover": "Multiple of the validation backtest's turnover per day; 0 is off.",
            "approval_above": "Entries above this value, in quote currency, wait for a person; 0 is off.",
            "approval_s": "An order nobody approves in this time is dropped.",
            **{name: text for name, (_, text) in POSITION_WORDS.items()},
        }


def _secret(**given: Any) -> forms.CharField:
    hidden = forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"})
    return forms.CharField(max_length=500, required=False, widget=hidden, **given)


class AlertFilter(forms.Form):
    """Narrows a list of alerts; what is not a choice is ignored."""

    kind = forms.ChoiceField(choices=[("", "every kind"), *AlertKind.choices], required=False)
    level = forms.ChoiceField(choices=[("", "every level"), *AlertLevel.choices], required=False)

    def applied(self, rows: Any) -> Any:
        self.is_valid()
        return rows.filter(**{name: value for name, value in self.cleaned_data.items() if value})


class ChannelForm(forms.Form):
    name = forms.CharField(max_length=80)
    kind = forms.ChoiceField(choices=ChannelKind.choices)
    address = forms.CharField(
        max_length=500,
        help_text="E-mail: addresses, comma separated. Telegram: the chat's number. Others: the webhook's "
        "https address. Stored encrypted.",
    )
    secret = _secret(
        help_text="Telegram: the bot's token. Signed webhook: a key of 16 characters or more. Never shown."
    )


class ChannelChangeForm(forms.Form):
    address = forms.CharField(
        max_length=500, required=False, label="New address", help_text="Empty: it stays."
    )
    secret = _secret(label="New secret", help_text="Empty: it stays.")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not given.get("address") and not given.get("secret"):
            raise forms.ValidationError("Give a new address, a new secret, or both.")
        return given


class RuleForm(forms.Form):
    channel = forms.ModelChoiceField(queryset=AlertChannel.objects.none())
    min_level = forms.ChoiceField(choices=AlertLevel.choices, initial=AlertLevel.WARNING, label="From level")
    kinds = forms.MultipleChoiceField(
        choices=[choice for choice in AlertKind.choices if choice[0] != AlertKind.TEST],
        required=False,
        help_text="None chosen: every kind.",
        widget=forms.SelectMultiple(attrs={"size": 8}),
    )
    again_s = forms.IntegerField(
        min_value=0,
        max_value=30 * 86_400,
        initial=3600,
        label="Again after (seconds)",
        help_text="The same thing is not told again before.",
    )
    quiet_from = forms.TimeField(
        required=False,
        label="Quiet from (UTC)",
        widget=forms.TimeInput(attrs={"type": "time"}),
        help_text="What is not critical waits until the quiet time is over.",
    )
    quiet_to = forms.TimeField(
        required=False, label="Quiet to (UTC)", widget=forms.TimeInput(attrs={"type": "time"})
    )
    is_active = forms.BooleanField(required=False, initial=True, label="Active")

    def __init__(self, *args: Any, owner: Any, rule: AlertRule | None = None, **kwargs: Any) -> None:
        if rule is not None:
            kwargs["initial"] = {name: getattr(rule, name) for name in self.base_fields}
        super().__init__(*args, **kwargs)
        self.fields["channel"].queryset = AlertChannel.objects.filter(owner=owner)  # type: ignore[attr-defined]
