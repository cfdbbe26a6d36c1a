"""How votes become a decision: every case of three members, and what must never matter."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.policies.council import COMBINES, METHODS, Vote, Voting
from agents.policies.council.combine import combine
from agents.policies.council.votes import vote_of
from agents.policies.port import Opinion
from agents.spaces import BUY, HOLD, SELL, ActionSpec
from market.errors import BadInput

SIDES = (HOLD, BUY, SELL)
BAND = 0.01


def sure(member, side, weight=1.0, held=0.5):
    """A member that is certain: BUY means all in, SELL means out."""
    target = {HOLD: None, BUY: 1.0, SELL: 0.0}[side]
    return Vote(member, weight, side, target).counted()


def decided(*votes, method="majority", combined="votes", quorum=1, held=0.5):
    return combine(votes, Voting(method, combined, quorum), held, BAND)


def most_heads(sides):
    """The plain count, ties HOLD before BUY before SELL."""
    heads = Counter(sides)
    return max(SIDES, key=lambda side: (heads[side], -side))


@pytest.mark.parametrize("sides", list(itertools.product(SIDES, repeat=3)))
def test_truth_table_of_three_members(sides):
    votes = [sure(f"m{at}", side) for at, side in enumerate(sides)]
    agreed = sides[0] if len(set(sides)) == 1 else HOLD
    majority = most_heads(sides)
    vetoed = HOLD if majority == BUY and SELL in sides else majority
    expected = {"majority": majority, "weighted": majority, "unanimity": agreed, "veto": vetoed}
    for method, side in expected.items():
        for combined in COMBINES:
            made = decided(*votes, method=method, combined=combined)
            assert made.side == side, (method, combined)
            assert made.target == {HOLD: None, BUY: 1.0, SELL: 0.0}[side]


@pytest.mark.parametrize(
    ("weights", "side"),
    [((1, 1, 3), SELL), ((2, 1, 2), HOLD), ((1, 2, 2), BUY), ((0.1, 0.2, 0.3), SELL), ((3, 1, 1), HOLD)],
)
def test_weights_decide_and_ties_go_to_hold_then_buy(weights, side):
    votes = [sure(str(at), at, weight) for at, weight in zip(SIDES, weights, strict=True)]
    assert decided(*votes, method="weighted").side == side


def test_a_tie_that_only_rounding_breaks_is_a_tie():
    votes = [sure("a", HOLD, 0.3), sure("b", SELL, 0.1), sure("c", SELL, 0.2)]
    assert 0.1 + 0.2 > 0.3
    assert decided(*votes, method="weighted").side == HOLD


def test_averaged_probabilities_can_overrule_the_count():
    keen = Vote("a", 1.0, BUY, 1.0, (0.05, 0.9, 0.05), (1.0, 0.0))
    lukewarm = [Vote(name, 1.0, SELL, 0.0, (0.25, 0.35, 0.4), (1.0, 0.0)) for name in "bc"]
    assert decided(keen, *lukewarm, combined="votes").side == SELL
    averaged = decided(keen, *lukewarm, combined="probabilities")
    assert averaged.side == BUY
    assert averaged.shares == pytest.approx((0.55 / 3, 1.6 / 3, 0.85 / 3))


def test_the_target_is_the_mean_of_what_the_winners_ask_for():
    small = Vote("a", 1.0, BUY, 0.4).counted()
    large = Vote("b", 3.0, BUY, 0.8).counted()
    out = Vote("c", 1.0, SELL, 0.0).counted()
    assert decided(small, large, out, method="weighted", held=0.1).target == pytest.approx(0.7)


@pytest.mark.parametrize("quorum", [2, 3])
def test_below_the_quorum_it_holds_and_says_so(quorum):
    failed = Vote("c", 1.0, failure="its file has changed")
    made = decided(sure("a", BUY), sure("b", BUY), failed, quorum=quorum)
    assert (made.side == BUY) == (quorum == 2)
    if quorum == 3:
        assert made.target is None
        assert made.note == "only 2 members could vote and the quorum is 3, so the council holds"


def test_nobody_left_holds():
    made = decided(Vote("a", 1.0, failure="x"), sure("b", BUY, weight=0.0))
    assert (made.side, made.target) == (HOLD, None)
    assert "no member could vote" in made.note


def test_a_veto_lets_a_turn_leave_but_not_turn():
    short = [Vote(name, 1.0, SELL, -1.0).counted() for name in "ab"]
    made = decided(*short, sure("c", BUY), method="veto", held=0.5)
    assert (made.side, made.target) == (SELL, 0.0)
    assert made.note == "vetoed by c: the position is left and not turned"
    assert decided(*short, sure("c", HOLD), method="veto", held=0.5).target == -1.0


@pytest.mark.parametrize(
    ("given", "words"),
    [({"method": "dice"}, "method must be"), ({"combine": "x"}, "combine must be"),
     ({"quorum": 0}, "from 1"), ({"quorum": True}, "from 1")],
)  # fmt: skip
def test_voting_that_makes_no_sense_is_refused(given, words):
    with pytest.raises(BadInput, match=words):
        Voting(**given)


shares = st.tuples(*[st.floats(0.001, 1.0) for _ in SIDES]).map(
    lambda row: tuple(one / sum(row) for one in row)
)
exposures = st.floats(-1.0, 1.0)


@st.composite
def any_vote(draw, name, held):
    """A model's vote, a rule's, or that of a member that failed."""
    weight = draw(st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0.0, 5.0))
    kind = draw(st.sampled_from(["model", "rule", "failed"]))
    if kind == "failed":
        return Vote(name, weight, failure="broken")
    low, high = sorted([draw(exposures), draw(exposures)])
    side = draw(st.sampled_from(SIDES))
    asked = {HOLD: None, BUY: high, SELL: low}[side]
    target = None if asked is None or abs(asked - held) < BAND else asked
    actual = HOLD if target is None else BUY if target > held else SELL
    vote = Vote(name, weight, actual, target)
    return vote.counted() if kind == "rule" else vote._replace(shares=draw(shares), asked=(high, low))


@st.composite
def meetings(draw):
    held = draw(st.sampled_from([0.0, 0.5, 1.0, -0.5]) | exposures)
    votes = [draw(any_vote(f"m{at}", held)) for at in range(draw(st.integers(1, 6)))]
    voting = Voting(
        draw(st.sampled_from(sorted(METHODS))),
        draw(st.sampled_from(sorted(COMBINES))),
        draw(st.integers(1, 4)),
    )
    return held, votes, voting


@given(meetings(), st.randoms(use_true_random=False))
def test_the_order_of_members_never_matters(meeting, random):
    held, votes, voting = meeting
    shuffled = random.sample(votes, len(votes))
    assert combine(votes, voting, held, BAND) == combine(shuffled, voting, held, BAND)


@given(meetings(), st.data())
def test_a_member_with_weight_0_never_matters(meeting, data):
    held, votes, voting = meeting
    watcher = data.draw(any_vote("watcher", held))._replace(weight=0.0)
    assert combine([*votes, watcher], voting, held, BAND) == combine(votes, voting, held, BAND)


@given(meetings())
def test_a_member_that_failed_counts_for_nothing(meeting):
    held, votes, voting = meeting
    well = [vote for vote in votes if vote.side is not None]
    assert combine(votes, voting, held, BAND) == combine(well, voting, held, BAND)


def size_after(made, held):
    return abs(held if made.target is None else made.target)


@given(meetings())
def test_a_veto_never_increases_exposure(meeting):
    held, votes, voting = meeting
    free = combine(votes, Voting("weighted", voting.combine, voting.quorum), held, BAND)
    made = combine(votes, Voting("veto", voting.combine, voting.quorum), held, BAND)
    assert made == free or size_after(made, held) <= abs(held)
    assert size_after(made, held) <= max(size_after(free, held), abs(held))
    present = {vote.side for vote in votes if vote.weight > 0}
    if size_after(made, held) > abs(held):
        assert not {BUY, SELL} <= present


@given(meetings())
def test_the_target_lies_within_what_the_members_ask_for(meeting):
    held, votes, voting = meeting
    made = combine(votes, voting, held, BAND)
    if made.target is not None:
        asked = [0.0, *(one for vote in votes for one in (*vote.asked, vote.target) if one is not None)]
        assert min(asked) <= made.target <= max(asked)
    assert sum(made.shares) == pytest.approx(1.0)
    assert all(0 <= share <= 1 + 1e-12 for share in made.shares)


def test_levels_above_the_exposure_are_buys_and_those_below_sells():
    spec = ActionSpec("levels", (-1.0, 0.0, 0.5, 1.0), 0.02)
    opinion = Opinion(3, "+100%", (0.1, 0.2, 0.3, 0.4), None, 0.4, 1.0)
    vote = vote_of("m", 1.0, opinion, spec, 0.49)
    assert vote.side == BUY
    assert vote.shares == pytest.approx((0.3, 0.4, 0.3))
    assert vote.asked == pytest.approx((1.0, -1.0 * 0.1 / 0.3))
    assert vote.counted().asked == (1.0, None)


def test_a_wish_that_is_held_already_is_a_hold():
    spec = ActionSpec()
    assert vote_of("m", 1.0, Opinion(1, "BUY", (0.2, 0.7, 0.1), 0.0, 0.7, None), spec, 1.0).side == HOLD
    assert vote_of("m", 1.0, Opinion(2, "SELL", (0.2, 0.1, 0.7), 0.0, 0.7, 0.0), spec, 0.0).side == HOLD


@pytest.mark.parametrize(
    ("held", "target", "side"), [(0.2, 0.7, BUY), (0.7, 0.2, SELL), (0.7, None, HOLD), (-0.5, 0.0, BUY)]
)
def test_a_continuous_wish_is_a_side_and_a_target(held, target, side):
    spec = ActionSpec("continuous", (-1.0, 1.0))
    vote = vote_of("m", 1.0, Opinion(0.4, "TARGET", (), 0.0, None, target), spec, held)
    assert (vote.side, vote.target) == (side, target)
    assert vote.shares[side] == 1.0


@pytest.mark.parametrize("bad", [Opinion(0, "HOLD", (float("nan"), 0.5, 0.5), 0.0, 0.5, None),
                                 Opinion(1, "BUY", (0.0, 1.0, 0.0), 0.0, 1.0, float("inf"))])  # fmt: skip
def test_an_opinion_that_is_not_finite_is_no_vote(bad):
    with pytest.raises(ValueError, match="not finite"):
        vote_of("m", 1.0, bad, ActionSpec(), 0.0)
