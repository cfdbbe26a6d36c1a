"""What every figure on the pages means, in one sentence each (shown on hover, listed in the API's docs)."""

DEFINITIONS = {
    # books
    "equity": "Cash plus holdings valued at the last good price, after all fees.",
    "equity_total": "Sum of the latest equity of your running and paused sessions.",
    "pnl_today": "Equity now minus equity at the start of the UTC day of the venue's clock, fees included.",
    "pnl_total": "Equity now minus the capital the session started with, fees included.",
    "capital": "Quote currency the session was given at its first turn.",
    "cash": "Quote currency of the session that is not invested.",
    "position": "Units of the base coin held by the session; negative when short.",
    "entry": "Average price paid for what is held.",
    "unrealised": "Profit of the open position at the last good price, before fees of closing it.",
    "realised": "Profit of closed quantity, before fees.",
    "fees": "All fees paid to the venue so far.",
    "exposure": "Value of the position divided by equity.",
    "proven": "Last time our books and the venue's balances were compared and found equal.",
    # time
    "heartbeat": "Time since a runner last completed a turn of the session (wall clock).",
    "decision_age": "Time from the last decision to the last good price, on the venue's clock.",
    "data_age": "Age of the last good price. Older ones than the risk profile allows count as unknown.",
    # risk
    "risk_state": "Active: trades. Safe: exits and tiny trades for a while. Reducing: leaves its position. "
    "Halted: nothing until a person resumes.",
    "stop_distance": "How far the price may move against the position before the stop-loss sells.",
    "take_distance": "How far the price must move in favour before take-profit sells.",
    "day_loss_distance": "How much more the day may lose, as a share of its start, before entries stop.",
    "drawdown_distance": "How much further equity may fall below its peak before entries stop.",
    "drawdown": "How far equity is below its highest value so far.",
    # decisions
    "probabilities": "What the agent's policy gives each action; they sum to one.",
    "confidence": "Probability of the chosen action; below the risk profile's threshold the agent holds.",
    "value": "The agent's own estimate of the discounted reward to come.",
    "gate": "Why a wish was not followed before risk was asked: confidence or minimum move.",
    "latency": "Time from knowing the closed bar to having decided.",
    # metrics
    "total_return": "Last equity divided by first equity, minus one, after all costs.",
    "annual_return": "Total return compounded to 365 days.",
    "volatility": "Standard deviation of bar returns, annualised with 365 days.",
    "sharpe": "Mean return divided by its standard deviation, annualised with 365 days; no risk-free rate.",
    "sortino": "Like Sharpe, but only returns below zero count as risk.",
    "calmar": "Annualised return divided by the largest drawdown.",
    "max_drawdown": "Largest fall from a peak of equity to a later low.",
    "max_drawdown_bars": "Longest time equity stayed below an earlier peak, in bars.",
    "max_drawdown_days": "Longest time equity stayed below an earlier peak, in days.",
    "var_95": "Return per bar that is undercut in 5 % of the bars.",
    "cvar_95": "Mean return per bar within the worst 5 % of the bars.",
    "win_rate": "Share of closing fills that made a profit after fees.",
    "profit_factor": "Sum of gains divided by sum of losses over closing fills.",
    "turnover_per_day": "Traded value per day as a multiple of mean equity.",
    "notional": "Value of all fills, in quote currency.",
    "closed_trades": "Fills that closed something, wholly or in part.",
    "final_equity": "Equity at the end of the stretch.",
    "elapsed_days": "Days from the first bar to the last.",
    "bars": "Bars the figures are taken over.",
    "decisions": "How often the policy was asked.",
    "gated": "Decisions that the confidence threshold or the minimum move turned into holds.",
    "contest_sharpe": "Mean daily return divided by its standard deviation, not annualised.",
    "contest_sortino": "Mean daily return divided by its downside deviation, not annualised.",
    "contest_calmar": "Mean daily return divided by the largest drawdown of daily closes, not annualised.",
    "contest_score": "Over daily closes, not annualised: 0.4 Sortino + 0.3 Sharpe + 0.3 Calmar.",
    "fills": "Number of fills.",
    "benchmark_return": "What buying at the start and holding would have returned, after the same costs.",
    "benchmark_sharpe": "Sharpe of buying at the start and holding.",
    "benchmark_max_drawdown": "Largest fall of buying at the start and holding.",
    # learning
    "steps": "Environment steps done of those asked for.",
    "fps": "Environment steps per second of wall time, learning included.",
    "eta": "Estimated time left at the present speed.",
    "reward": "Mean reward per episode as the agent sees it; not money.",
    "episode_return": "Mean reward summed over an episode; for log returns it is the log growth of equity.",
    "policy_loss": "PPO's clipped objective of the last update, as a loss.",
    "value_loss": "Squared error of the value estimate in the last update.",
    "entropy": "How undecided the policy is; it falls as the agent makes up its mind.",
    "kl": "Approximate distance between the policy before and after the last update; big jumps are bad.",
    "clip_fraction": "Share of samples whose policy change was cut off by PPO's clip range.",
    "explained_variance": "How much of the returns the value estimate explains: 1 is all, 0 nothing.",
    "score": "t-statistic of the mean bar log return on the validation candles; cash scores 0. "
    "It chooses the checkpoint.",
    "last_score": "Score of the last checkpoint, which need not be the best one.",
    "benchmark_score": "Score of buying at the start and holding.",
    "best_step": "Training step of the checkpoint that was kept.",
    "checkpoints_compared": "How many checkpoints the best one was chosen from: more comparisons, more luck.",
    "validation": "Result of the newest checkpoint on later data it has not learned from.",
    # what the agent sees of its own position
    "unrealised_return": "Price now against the average entry price, as a fraction.",
    "time_in_position": "Bars since the position was opened, divided by the scale chosen in training.",
    "cash_share": "Share of equity that is not invested.",
    # data
    "rows": "Number of stored candles.",
    "missing": "Bars that should exist between the first and the last, but do not. Gaps are never filled in.",
    "coverage": "Stored bars divided by the bars between first and last.",
    "fingerprint": "SHA-256 over all candles: equal fingerprints mean equal data.",
}


def definition(name: str) -> str:
    """Return the sentence for a metric's name; empty when there is none."""
    return DEFINITIONS.get(name, "")
