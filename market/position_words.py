"""How sizes and exits are labelled and explained, on risk profiles and in training settings."""

POSITION_WORDS = {  # field: (label, help)
    "stop_atr": ("Exit: ATR stop", "Stop so many average true ranges from the entry; 0 is off."),
    "trailing_atr": ("Exit: ATR trailing", "So many average true ranges behind the best price; 0 is off."),
    "trail_step": (
        "Exit: trailing in steps",
        "The trailing stop moves in steps of this share; 0 is stepless.",
    ),
    "reward_ratio": ("Exit: bracket", "Target at this multiple of the stop's distance at entry; 0 is off."),
    "break_even": ("Exit: break-even after", "Once won, the stop moves to entry plus both fees; 0 is off."),
    "max_bars": ("Exit: time stop (bars)", "Leaves after so many closed bars; 0 is off."),
    "atr_bars": ("Average true range over (bars)", "Closed bars only."),
    "size_fraction": ("Size: fixed fraction", "Share of equity that a full wish holds; 0 is off."),
    "risk_per_trade": (
        "Size: risk per trade",
        "Share of equity lost when the nearest stop is hit; 0 is off.",
    ),
    "volatility_target": ("Size: volatility target", "Share of equity that one ATR moves; 0 is off."),
    "kelly_fraction": ("Size: Kelly fraction", "0.5 is half Kelly of the closed trades; 0 is off."),
    "kelly_cap": (
        "Size: Kelly cap",
        "Most that Kelly may hold; it also holds before there are enough trades.",
    ),
    "kelly_trades": ("Size: Kelly looks back (trades)", "Older trades fade out."),
    "kelly_min_trades": ("Size: Kelly from (trades)", "Closed trades before Kelly counts."),
    "streak_losses": (
        "Size: shrink after losses",
        "Losses not yet recovered; a win takes one back; 0 is off.",
    ),
    "streak_factor": ("Size: shrink by", "0.5 halves the size for each further loss, four times at most."),
    "resize_band": (
        "Size: resize band",
        "A held position is not resized for less than this share of equity.",
    ),
    "dca_lots": (
        "Lowrider: lots",
        "Most buys of a cycle of averaging down; 0 is off. It sizes its own lots.",
    ),
    "dca_first": ("Lowrider: first lot", "Share of equity, scaled by the model's probability of buying."),
    "dca_spacing": ("Lowrider: spacing", "Fall from the last buy before the next one, 0.01 = 1 %."),
    "dca_growth": ("Lowrider: growth", "Each lot is so many times the one before."),
    "dca_reluctance": ("Lowrider: reluctance", "A lot spends at most cash divided by this."),
    "dca_profit": ("Lowrider: profit target", "Above break-even, 0.01 = 1 %."),
    "dca_max_loss": (
        "Lowrider: maximum loss",
        "Of the equity at the cycle's start, then it ends; 0 is no bound.",
    ),
}
