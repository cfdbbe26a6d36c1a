"""What the settings of a spec mean, for people who choose them; types and ranges stand in the spec itself.

A setting is looked up by its dotted name, then by its last part. What has no words shows its name.
"""

from agents.spec.devices import DEVICES
from market.position_words import POSITION_WORDS

WORDS: dict[str, tuple[str, str]] = {  # label, definition
    "features": ("Features", "What is computed from the candles for the agent to see."),
    "scaler": ("Scaling", "How features are brought to one size, by statistics of the training part alone."),
    "window": ("Window", "Bars of features in one observation."),
    "bars_scale": ("Time scale", "Bars in a position at which its time reads one half."),
    "episode_bars": ("Episode", "Bars of a training episode that starts anywhere; 0 is the whole range."),
    "max_drawdown": (
        "Drawdown limit",
        "Fall from the peak at which an episode is lost, as live it halts; 0 is off.",
    ),
    "decision_every": ("Decision every", "Bars between two decisions; exits act on every bar."),
    "validation_share": ("Validation part", "Share of the bars that choose which weights are kept."),
    "test_share": ("Test part", "Share of the last bars, sealed until a person opens it."),
    "embargo_bars": ("Gap", "Bars left out between the parts; empty: as far as an observation reaches back."),
    "checkpoint_every": ("Checkpoint every", "Steps between two checkpoints; empty: twenty in a run."),
    "validate_every": ("Validate every", "Steps between two validations; empty: ten in a run."),
    "averaging": (
        "Averaging",
        "Decay per update of the mean of weights that is judged and kept; 0 is no mean.",
    ),
    "device": (
        "Learns on",
        "A GPU is meant for thousands of environments (ppo.n_envs); ppo and fast_ppo learn there.",
    ),
    "keep": (
        "Keep",
        "Which of the judged weights become the model; of a run that stopping ends early always the best.",
    ),
    # action
    "action.kind": ("Actions", "What the agent may answer."),
    "action.levels": ("Exposures", "Shares of equity the actions go to, rising; negative ones are short."),
    "action.band": ("Band", "Wishes nearer than this to what is held are not traded."),
    # network
    "network.net_arch": ("Hidden layers", "Neurons of each layer."),
    "network.activation": ("Activation", "What a neuron makes of its sum."),
    "network.extractor": ("Extractor", "What reads the window of bars before the layers."),
    "network.width": ("Extractor width", "Numbers that the extractor makes of a window."),
    "network.layers": ("Extractor layers", "How many lie upon each other."),
    "network.heads": ("Attention heads", "Of a transformer; the width is a multiple of them."),
    "network.taps": ("Taps", "Bars that a temporal convolution joins."),
    # forecast
    "forecast.kind": ("Forecast", "A forecast of the return ahead as one more feature, learned out of fold."),
    "forecast.horizon": ("Horizon", "Bars ahead that are forecast."),
    "forecast.folds": (
        "Folds",
        "Parts of the training data; each is forecast by trees that have not seen it.",
    ),
    "forecast.trees": ("Trees", "How many correct each other."),
    "forecast.depth": ("Tree depth", "Questions from root to leaf."),
    "forecast.learning_rate": ("Tree learning rate", "How much of its correction each tree adds."),
    "forecast.least_rows": ("Rows in a leaf", "At least so many."),
    # reward
    "reward.kind": ("Reward", "What a bar is worth to the learner."),
    "reward.scale": ("Scale", "The reward is multiplied by it."),
    "reward.drawdown_penalty": ("Drawdown penalty", "Weight of what the drawdown deepened by."),
    "reward.decay": ("Decay", "Weight of the newest return in the moments of the Sharpe and Sortino terms."),
    "reward.normalise": (
        "Normalisation",
        "Running division of rewards, so that one scale fits every market.",
    ),
    "reward.terms.log_return": ("Weight: log return", "Log return of equity, costs paid."),
    "reward.terms.sharpe": (
        "Weight: Sharpe",
        "Differential Sharpe ratio: what the return adds to the moving ratio.",
    ),
    "reward.terms.sortino": ("Weight: Sortino", "Differential Sortino ratio: against losses only."),
    "reward.terms.drawdown": ("Weight: drawdown", "Less what the drawdown deepened by."),
    "reward.terms.holding_risk": ("Weight: holding risk", "Less the squared return of equity, 0 while flat."),
    "reward.terms.turnover": ("Weight: turnover", "Less the share of equity traded, on top of its costs."),
    "reward.terms.benchmark": ("Weight: benchmark", "Log return of equity above that of the asset."),
    # curriculum
    "curriculum.stages": ("Curriculum", "Which bars episodes start in at first."),
    "curriculum.look_back": ("Looks back", "Bars that tell a bar's class."),
    "curriculum.promote_at": ("Promote at", "Mean episode return above which a stage is passed."),
    "curriculum.episodes": ("Episodes judged", "Finished episodes that this mean is over."),
    "curriculum.longest": ("Longest stage", "Share of the run after which a stage is passed anyway."),
    "curriculum.costs_from": (
        "Costs begin at",
        "Share of fee, spread and slippage at the beginning; 1 is all.",
    ),
    "curriculum.costs_until": ("Costs grow until", "Share of the run after which they are charged in full."),
    # stopping
    "stopping.patience": ("Patience", "Validations without a better score before the run ends; 0 is off."),
    "stopping.min_delta": ("Least gain", "By which a score must be better to count."),
    "stopping.gap": (
        "Over-fitting gap",
        "Training score above validation score that ends the run; 0 is off.",
    ),
    "stopping.gap_patience": ("Gap patience", "Validations in a row with a wider gap."),
    "stopping.max_kl": (
        "KL breaker",
        "Change of the policy in one update beyond which the run fails; 0 is off.",
    ),
    "stopping.min_entropy": ("Entropy breaker", "Nats below which the run fails; 0 is off."),
    # limits
    "limits.daily_loss": (
        "Daily loss",
        "Of the equity at the start of the UTC day; then it halts; 0 is off.",
    ),
    "limits.weekly_loss": (
        "Weekly loss",
        "Of the equity at the start of the UTC week; then it halts; 0 is off.",
    ),
    "limits.safe_drawdown": (
        "Safe mode at drawdown",
        "Fall from the peak, then exits and tiny trades; 0 is off.",
    ),
    "limits.safe_share": ("Safe mode: largest position", "Share of equity that a position may reach in it."),
    "limits.safe_cooldown_s": ("Safe mode lasts (s)", "After what caused it is over."),
    "limits.max_loss_streak": ("Safe mode after losses", "Closing trades with a loss in a row; 0 is off."),
    "limits.exit_cooldown_s": ("Wait after an exit (s)", "No entry for so long after any exit; 0 is off."),
    "limits.loss_cooldown_s": (
        "Wait after a loss (s)",
        "No entry for so long after an exit with a loss; 0 is off.",
    ),
    "limits.max_trades_per_day": ("Trades per day", "0 is unlimited."),
    "limits.max_order_share": (
        "Largest order",
        "Share of equity that one order may open, 1 is all of it; 0 is off.",
    ),
    "limits.max_position": (
        "Largest position",
        "Value in quote currency beyond which nothing is added; 0 is off.",
    ),
    # trading
    "trading.market": ("Market", "The rules that positions are held under."),
    "trading.fee_rate": ("Fee", "Of the notional, taker: 0.001 is 0.1 %."),
    "trading.half_spread": ("Half spread", "Of the price."),
    "trading.slippage": ("Slippage", "Of the price, beyond the half spread."),
    "trading.tick": ("Tick", "Step of prices, in quote currency; 0 is no rounding."),
    "trading.step": ("Step", "Step of quantities, in base currency; 0 is no rounding."),
    "trading.min_notional": ("Least order", "An order must be above it, in quote currency."),
    "trading.fee_step": ("Fee step", "Fees are floored to it, in quote currency."),
    "trading.stop_loss": ("Exit: stop-loss", "0.02 leaves 2 % beyond the entry; 0 is off."),
    "trading.take_profit": ("Exit: take-profit", "0.03 leaves with 3 % won; 0 is off."),
    "trading.trailing": ("Exit: trailing stop", "Follows the best price since entry; 0 is off."),
    "trading.initial_cash": ("Initial cash", "Quote currency that an episode starts with."),
    "trading.max_exposure": (
        "Largest exposure",
        "Share of equity, long or short; of futures up to the leverage.",
    ),
    "trading.leverage": ("Leverage", "Most notional over equity, and over a position's own margin."),
    "trading.maintenance": ("Maintenance margin", "Share of the notional at which the venue liquidates."),
    "trading.funding_rate": ("Funding rate", "Share of the notional that longs pay to shorts."),
    "trading.funding_hours": ("Funding every (hours)", "Between two payments, counted from 1970 in UTC."),
    # algorithms
    "n_envs": ("Accounts", "Environments that decide side by side."),
    "n_steps": ("Steps per rollout", "Decisions of each account before an update."),
    "lr": ("Learning rate", "Size of a step of the optimiser."),
    "gamma": ("Discount (gamma)", "What a reward one decision later is worth."),
    "batch_size": ("Batch", "Decisions that one step of the optimiser learns from."),
    "epochs": ("Epochs", "Times that a rollout is learned from."),
    "gae_lambda": ("GAE lambda", "1 trusts the rewards seen, 0 the value network."),
    "clip": ("Clip range", "How far one update may move a probability, as a ratio."),
    "ent_coef": ("Entropy weight", "How much exploring is worth."),
    "vf_coef": ("Value weight", "Of the value network's loss."),
    "max_grad_norm": ("Gradient limit", "Longer gradients are shortened to it."),
    "weight_decay": (
        "Weight decay",
        "Share of every weight that a step takes away, in learning rates, as AdamW does; 0 is off.",
    ),
    "target_kl": ("Target KL", "Change of the policy that ends an update."),
    "lr_end": ("Learning rate at last", "Reached in a straight line at the end of the run; empty: it stays."),
    "clip_end": ("Clip range at last", "Reached in a straight line at the end of the run; empty: it stays."),
    "clip_vf": ("Value clip range", "How far one update may move a value; empty: not clipped."),
    "advantages": ("Advantages", "Normalised: of each batch, to mean 0 and deviation 1."),
    "memory": ("Memory", "Decisions that it looks back where it trades."),
    "hidden": ("LSTM width", "Numbers that it remembers in."),
    "recurrent.layers": ("LSTM layers", "How many lie upon each other."),
    "value_updates": ("Value updates", "Of the value network per rollout."),
    "baseline_steps": ("Baseline updates", "Of the value network per rollout."),
    "columns": (
        "Columns",
        "Features of the newest bar that the table reads, forecast among them; empty: the first three.",
    ),
    "bins": ("Bins", "Of each feature."),
    "edges": ("Edges", "Bins of equal count, or of equal width."),
    "exploration_share": ("Exploring share", "Of the run, until chance has fallen to its end."),
    "exploration_start": ("Chance at first", "Share of decisions made by chance."),
    "exploration_end": ("Chance at last", "Share of decisions made by chance after that."),
    "buffer_size": ("Replay memory", "Decisions that are kept."),
    "learning_starts": ("Learning starts", "Decisions before the first update."),
    "train_every": ("Train every", "Decisions of each account between updates."),
    "gradient_steps": ("Gradient steps", "Per update."),
    "tau": ("Target rate", "How fast the target network follows; 1 copies it."),
    "target_update": ("Target every", "Decisions between two target networks."),
    "quantiles": ("Quantiles", "That the spread of a value is written in."),
    "critics": ("Critics", "Networks of which the least is believed."),
    "dropped": ("Dropped quantiles", "Highest ones of each critic that are not believed."),
    "noise": ("Exploring noise", "Standard deviation of what is added to an action in -1..1."),
    "policy_delay": ("Policy delay", "Updates of the critics per update of the policy."),
    "target_noise": ("Target noise", "Added to the target's action."),
    "target_noise_clip": ("Target noise limit", "It is cut to this."),
    "team.specialists": ("Specialists", "Who shares the account: momentum, mean_reversion, market_making."),
    "team.networks": ("Networks", "Of the specialists' actors and critics."),
    "team.allocator": ("Allocator", "Who says what each specialist's wish weighs."),
    "team.weights.momentum": ("Weight: momentum", "Of a fixed allocator; empty is 1."),
    "team.weights.mean_reversion": ("Weight: mean reversion", "Of a fixed allocator; empty is 1."),
    "team.weights.market_making": ("Weight: market making", "Of a fixed allocator; empty is 1."),
    "team.allocator_lr": ("Allocator's learning rate", "Size of a step of the allocator's optimiser."),
    "team.allocator_entropy": (
        "Allocator's entropy weight",
        "Worth of undecided weights, in units of what the specialists' slices differ by.",
    ),
    "team.account": ("Account", "Whether specialists see it: what they see, they can follow."),
    "team.quote_offset": ("Quotes: offset", "Of the market maker's quotes from the last close, a fraction."),
    "team.quote_size": ("Quotes: size", "Share of equity that a desk quotes around the wished inventory."),
    "team.maker_fee": ("Quotes: fee", "Of a filled quote's notional, as maker."),
    **{f"trading.{name}": words for name, words in POSITION_WORDS.items()},
}

CHOICES: dict[str, dict[str, str]] = {  # what each choice of a setting means
    "features": {
        "price": "six log returns",
        "core": "trend, momentum, spread of prices and time of day, without volume",
        "swing": "place against half an hour to a day, and time of day",
        "slow": "place against four hours and a day, and time of day",
        "wide": "core and twelve more",
        "full": "everything there is, with volume",
    },
    "scaler": {"robust": "median and quartiles", "standard": "mean and standard deviation"},
    "device": DEVICES,
    "keep": {"best": "the best validation score", "last": "those at the end"},
    "action.kind": {
        "hold_buy_sell": "hold, buy or sell all",
        "levels": "one of several exposures",
        "continuous": "any exposure between two",
        "weights": "shares of several pairs",
    },
    "network.extractor": {
        "mlp": "none: the layers read the window as it is",
        "tcn": "temporal convolution",
        "lstm": "long short-term memory",
        "gru": "gated recurrent unit",
        "transformer": "attention over the bars",
    },
    "network.activation": {"tanh": "smooth, bounded", "relu": "linear above 0"},
    "forecast.kind": {"none": "off", "xgboost": "boosted trees"},
    "reward.kind": {
        "log_return": "log return of equity, costs paid",
        "differential_sharpe": "what it adds to the Sharpe ratio",
        "differential_sortino": "what it adds to the Sortino ratio",
        "benchmark_relative": "log return above the asset's own",
    },
    "reward.normalise": {"none": "off", "returns": "by the running deviation of discounted returns"},
    "curriculum.stages": {"off": "all bars alike", "volatility": "calm, then volatile, then crashes"},
    "trading.market": {
        "spot": "no borrowing beyond a short sale",
        "futures": "leverage, funding, liquidation",
    },
    "team.networks": {"own": "one actor and critic each", "shared": "one, told who it speaks for"},
    "team.allocator": {"learned": "a small network, with the specialists", "fixed": "weights of your own"},
    "team.account": {"seen": "beside their own features", "unseen": "their own features alone"},
    "q_table.edges": {"quantile": "equal count", "uniform": "equal width"},
}

# Where a setting says something: beside the choice named. A prefix ends in a dot or an underscore.
WHEN: dict[str, str] = {
    "network.width": "network.extractor!=mlp",
    "network.layers": "network.extractor!=mlp",
    "network.heads": "network.extractor=transformer",
    "network.taps": "network.extractor=tcn",
    **{f"forecast.{name}": "forecast.kind!=none"
       for name in ("horizon", "folds", "trees", "depth", "learning_rate", "least_rows")},
    **{f"curriculum.{name}": "curriculum.stages!=off"
       for name in ("look_back", "promote_at", "episodes", "longest")},
    **{f"trading.{name}": "trading.market=futures"
       for name in ("leverage", "maintenance", "funding_rate", "funding_hours")},
}  # fmt: skip

REST, ALGORITHM = "Further settings", "Algorithm"
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (  # title, and which settings it holds; the first that fits
    ("Market and actions", ("trading.market", "trading.leverage", "trading.maintenance", "trading.funding_",
                            "trading.max_exposure", "action.")),
    ("What the agent sees", ("features", "scaler", "window", "bars_scale", "forecast.")),
    ("Network", ("network.",)),
    ("Reward", ("reward.",)),
    (ALGORITHM, ()),  # here stand the sections of the algorithms, under their own titles
    ("Episodes", ("episode_bars", "decision_every", "max_drawdown", "curriculum.")),
    ("Costs and rounding", ("trading.fee_", "trading.half_spread", "trading.slippage", "trading.tick",
                            "trading.step", "trading.min_notional", "trading.initial_cash")),
    ("Sizes and exits", ("trading.",)),
    ("Breakers and entry guards", ("limits.",)),
    ("Where it learns", ("device",)),
    ("Judging and stopping", ("validation_share", "test_share", "embargo_bars", "checkpoint_every",
                              "validate_every", "averaging", "keep", "stopping.")),
)  # fmt: skip
