# mypy: disable-error-code="no-untyped-def"
"""What one minibatch computes besides its matrix products. Plain Python; `kernels` compiles it.

Arrays are float32. `rows` and `columns` say which part of a scratch array is in use.
"""

import math

import numpy as np

F = np.float32
HALF_LOG_2PI = F(0.5 * math.log(2.0 * math.pi))
TANH, RELU = 0, 1
TANH_LIMIT = F(7.90531110763549805)  # beyond it, tanh is 1 in float32


def tanh(values, rows, columns):
    """Replace values by their tanh; a rational function within 4e-7 of it (the one Eigen uses)."""
    for r in range(rows):
        for c in range(columns):
            x = values[r, c]
            x = TANH_LIMIT if x > TANH_LIMIT else -TANH_LIMIT if x < -TANH_LIMIT else x  # NaN stays NaN
            y = x * x
            over = y * F(-2.76076847742355e-16) + F(2.00018790482477e-13)
            over = y * over + F(-8.60467152213735e-11)
            over = y * over + F(5.12229709037114e-08)
            over = y * over + F(1.48572235717979e-05)
            over = y * over + F(6.37261928875436e-04)
            over = (y * over + F(4.89352455891786e-03)) * x
            under = y * F(1.19825839466702e-06) + F(1.18534705686654e-04)
            under = y * under + F(2.26843463243900e-03)
            under = y * under + F(4.89352518554385e-03)
            values[r, c] = over / under


def relu(values, rows, columns):
    """Replace negative values by zero."""
    for r in range(rows):
        for c in range(columns):
            values[r, c] = F(0) if values[r, c] < F(0) else values[r, c]


def spread(values, row, rows, columns):
    """Write one row into many."""
    for r in range(rows):
        for c in range(columns):
            values[r, c] = row[c]


def clear(values, rows, columns):
    for r in range(rows):
        for c in range(columns):
            values[r, c] = F(0)


def through_activation(slopes, values, bias_slopes, rows, columns, activation):
    """Turn slopes by what an activation gave into slopes by what it was given; add up those of the bias."""
    for r in range(rows):
        if activation == TANH:
            for c in range(columns):
                slopes[r, c] *= F(1) - values[r, c] * values[r, c]
        else:
            for c in range(columns):
                slopes[r, c] = slopes[r, c] if values[r, c] > F(0) else F(0)
        for c in range(columns):
            bias_slopes[c] += slopes[r, c]


def softmax(logits, shares, row, count):
    """Replace a row of logits by log probabilities and write the probabilities to `shares`."""
    top = logits[row, 0]
    for a in range(1, count):
        top = max(top, logits[row, a])
    total = F(0)
    for a in range(count):
        shares[row, a] = math.exp(logits[row, a] - top)
        total += shares[row, a]
    shift, scale = top + F(math.log(total)), F(1) / total
    for a in range(count):
        logits[row, a] -= shift
        shares[row, a] *= scale


def pick(shares, row, count, uniform):
    """Return the action that a uniform number in [0, 1) falls on, given probabilities."""
    passed = F(0)
    for a in range(count - 1):
        passed += shares[row, a]
        if uniform < passed:
            return a
    return count - 1


def normal_log_prob(means, row, action, log_std):
    """Return the log density of one action, float32 (A,), under independent normal distributions."""
    total = F(0)
    for a in range(len(action)):
        score = (action[a] - means[row, a]) * F(math.exp(-log_std[a]))
        total -= F(0.5) * score * score + log_std[a] + HALF_LOG_2PI
    return total


def normal_entropy(log_std, count):
    """Return the entropy of `count` independent normal distributions."""
    total = F(0)
    for a in range(count):
        total += F(0.5) + HALF_LOG_2PI + log_std[a]
    return total


def surrogate(log_prob, old_log_prob, advantage, clip, stats):
    """Return the slope of one sample's clipped loss by its log probability; note loss, KL and clipping."""
    log_ratio = log_prob - old_log_prob
    ratio = F(math.exp(log_ratio))
    held = min(max(ratio, F(1) - clip), F(1) + clip)
    plain, clipped = advantage * ratio, advantage * held
    stats[0] -= min(plain, clipped)
    stats[3] += (ratio - F(1)) - log_ratio
    stats[4] += abs(ratio - F(1)) > clip
    return -plain if plain <= clipped else F(0)


def categorical_slopes(logs, slopes, row, count, action, slope, ent_coef, stats):
    """Turn one sample's probabilities into the loss's slopes by its logits; note the entropy."""
    entropy = F(0)
    for a in range(count):
        entropy -= slopes[row, a] * logs[row, a]
    stats[2] -= entropy
    for a in range(count):
        share = slopes[row, a]
        slopes[row, a] = slope * (F(a == action) - share) + ent_coef * share * (logs[row, a] + entropy)


def normal_slopes(means, slopes, row, action, log_std, std_slopes, slope, ent_coef):
    """Write the loss's slopes by the means of one sample and add up those by the log deviations."""
    for a in range(len(action)):
        precision = F(math.exp(-log_std[a]))
        score = (action[a] - means[row, a]) * precision
        slopes[row, a] = slope * score * precision
        std_slopes[a] += slope * (score * score - F(1)) - ent_coef


def value_slope(value, old_value, target, clip_vf, stats):
    """Return the slope of one sample's squared error by its value; `clip_vf` below 0 clips nothing."""
    change = value - old_value
    is_clipped = clip_vf >= F(0) and abs(change) > clip_vf
    if is_clipped:
        value = old_value + (clip_vf if change > F(0) else -clip_vf)
    stats[1] += (value - target) ** 2
    return F(0) if is_clipped else F(2) * (value - target)


def moments(values, places):
    """Return mean and sample standard deviation of values[places]."""
    total = 0.0
    for place in places:
        total += values[place]
    mean, squares = total / len(places), 0.0
    for place in places:
        squares += (values[place] - mean) ** 2
    return F(mean), F(math.sqrt(squares / (len(places) - 1)))


def norm(values):
    """Return the Euclidean length of a vector."""
    squares = F(0)
    for i in range(len(values)):
        squares += values[i] * values[i]
    return F(math.sqrt(squares))


def adam(weights, slopes, first, second, step, scale, lr, beta1, beta2, eps, decay, is_decoupled):
    """Take one step of Adam (Kingma & Ba, 2015, Algorithm 1) as torch does, slopes times `scale`.

    `decay` pulls weights towards zero, by the slope or decoupled from it (Loshchilov & Hutter, 2019).
    """
    size, shrink = F(lr / (1.0 - beta1**step)), F(math.sqrt(1.0 - beta2**step))
    gain1, keep2, gain2, eps = F(1.0 - beta1), F(beta2), F(1.0 - beta2), F(eps)
    pull, keep = (F(0), F(1.0 - lr * decay)) if is_decoupled else (F(decay), F(1))
    for i in range(len(weights)):
        slope = slopes[i] * scale + pull * weights[i]
        first[i] += gain1 * (slope - first[i])
        second[i] = keep2 * second[i] + gain2 * slope * slope
        weights[i] = keep * weights[i] - size * first[i] / (np.sqrt(second[i]) / shrink + eps)


def advantages(rewards, values, starts, last_values, dones, gamma, gae_lambda, out, returns):
    """Estimate advantages (Schulman et al., 2016, eq. 16) and returns; arrays are float32 (T, N)."""
    both = F(gamma * gae_lambda)
    gamma = F(gamma)
    for i in range(rewards.shape[1]):
        following, alive, gained = last_values[i], F(1) - dones[i], F(0)
        for t in range(rewards.shape[0] - 1, -1, -1):
            delta = rewards[t, i] + gamma * following * alive - values[t, i]
            gained = delta + both * alive * gained
            out[t, i], returns[t, i] = gained, gained + values[t, i]
            following, alive = values[t, i], F(1) - starts[t, i]
