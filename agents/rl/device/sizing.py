"""How much of a wish is traded, for many accounts as torch tensors: the kernel's `sizing` without statistics.

Rules that remember past trades (Kelly, losing streaks, averaging cycles) are not carried.
"""

import torch
from torch import Tensor

from market.kernel.plan import Plan
from market.kernel.step import Rules

SIZES = ("size_fraction", "risk_per_trade", "volatility_target")


def is_kept(target: Tensor, exposure: Tensor, band: float) -> Tensor:
    """Say where a target is so near to the present exposure that trading would only burn fees."""
    return (target != 0) & ((target - exposure).abs() < band)


def sized_order(
    wish: Tensor, exposure: Tensor, band: float, price: Tensor, atr: Tensor, rules: Rules, plan: Plan
) -> tuple[Tensor, Tensor]:
    """Return (is there an order, target) of wishes that are due, see `market.kernel.sizing.sized_order`."""
    size = wish.abs()
    is_sized = torch.zeros_like(wish, dtype=torch.bool)
    if plan.size_fraction > 0:
        size, is_sized = size * plan.size_fraction, wish != 0
    for limit in _limits(price, atr, rules, plan):
        binds = (limit >= 0) & (limit < size)
        size, is_sized = torch.where(binds, limit, size), is_sized | binds
    target = torch.where(is_sized, torch.copysign(size, wish), wish)
    waits = is_sized & (exposure * target > 0) & ((target - exposure).abs() < plan.resize_band)
    return ~waits & ~is_kept(target, exposure, band), target


def _limits(price: Tensor, atr: Tensor, rules: Rules, plan: Plan) -> list[Tensor]:
    """Return the exposures that the rules allow; below 0 is none."""
    found = []
    if plan.risk_per_trade > 0:
        distance = stop_distance(price, atr, rules, plan)
        found.append(torch.where(distance > 0, plan.risk_per_trade / distance, -1.0))
    if plan.volatility_target > 0:
        found.append(torch.where(atr > 0, plan.volatility_target * price / atr, -1.0))
    return found


def stop_distance(price: Tensor, atr: Tensor, rules: Rules, plan: Plan) -> Tensor:
    """Return how far the nearest stop of a fresh position lies from its entry, as a fraction; 0 is none."""
    fixed = [rules.stop_loss, rules.trailing]
    moving = [times * atr / price for times in (plan.stop_atr, plan.trailing_atr)]
    nearest = torch.full_like(price, torch.inf)
    for distance in (*(torch.full_like(price, share) for share in fixed), *moving):
        nearest = torch.where(distance > 0, torch.minimum(nearest, distance), nearest)
    return torch.where(nearest.isinf(), 0.0, nearest)
