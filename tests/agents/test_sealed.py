"""The test part is sealed: nothing reads it before somebody opens it, and every opening is counted."""

from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from agents import services, tasks
from agents.evaluation.data import prepare
from agents.evaluation.split import split
from agents.models import Backtest, TestOpening, TrainedModel
from agents.progress import RunRow
from agents.rl import job
from agents.rl.training import learn
from agents.services import backtests
from agents.spec import TrainingSpec
from market import archive, leases
from market.archive.identity import join
from market.errors import BadInput
from market.models import AuditEvent
from tests.agents.markets import MINUTE, changed_after, stored, walk
from tests.agents.rl.test_learning import SMALL, Ear

SEALED = SMALL | {"test_share": 0.2, "steps": 1024}
SPEC = TrainingSpec.parse(SEALED)


@given(
    st.integers(3000, 100_000), st.integers(0, 300), st.integers(1, 50), st.floats(0.06, 0.4),
    st.floats(0.06, 0.3), st.integers(1, 200),
)  # fmt: skip
def test_the_parts_are_in_order_with_gaps_between_them(bars, warmup, window, share, test_share, more):
    embargo = warmup + window - 1 + more
    asked = {"warmup": warmup, "window": window, "episode_bars": 100, "share": share, "embargo": embargo}
    try:
        found = split(bars, **asked, test_share=test_share)
    except BadInput as refused:
        needed = int(refused.message.split()[-1])
        assert needed > bars
        found = split(needed, **asked, test_share=test_share)
        bars = needed
    assert found.valid_from - found.train_to == found.test_from - found.valid_to == embargo
    assert found.train_from == warmup < found.train_to < found.valid_from < found.valid_to < found.test_from
    assert found.test_to == bars
    assert found.test_to - found.test_from == round((bars - warmup) * test_share)


def test_an_embargo_shorter_than_an_observation_reaches_is_refused():
    with pytest.raises(BadInput, match="reach 61 bars back") as refused:
        split(5000, warmup=60, window=2, episode_bars=100, share=0.2, embargo=60)
    assert refused.value.field == "embargo_bars"


@pytest.mark.django_db
def test_poisoned_test_candles_change_no_weight_and_no_metric(user, tmp_path):
    candles = walk(1600)
    clean = prepare(stored(candles, user, source="clean"), SPEC)
    poisoned = changed_after(candles, clean.split.test_from - 1, factor=50.0)
    poisoned.volume[clean.split.test_from :] = 0
    other = prepare(stored(poisoned, user, source="poisoned"), SPEC)
    assert len(clean.candles) == len(clean.rows) == clean.split.valid_to < clean.split.test_from
    assert clean.fingerprint == other.fingerprint
    np.testing.assert_array_equal(clean.rows, other.rows)
    first = learn(SPEC, clean, tmp_path / "clean", Ear())
    second = learn(SPEC, other, tmp_path / "poisoned", Ear())
    assert first.network.hash == second.network.hash
    assert first.metrics == second.metrics


@pytest.fixture
def series(user):
    return stored(walk(1600), user)


@pytest.fixture
def model(user, series):
    run = services.start_training(owner=user, name="sealed", spec=SEALED | {"series": series.pk})
    held = leases.acquire(run.lease_name)
    assert job.run(job.RowListener(RunRow(run, held.fence))) == job.EXIT_DONE
    held.release()
    return TrainedModel.objects.get(run=run)


def test_a_model_knows_what_judged_it(model, series):
    candles = archive.load(series, model.train_to_ms, model.valid_to_ms)
    judged = candles[model.run.spec["embargo_bars"] :]
    assert model.judged_fingerprint == join([archive.fingerprint(judged)])


def test_a_model_knows_its_test_part(model, series):
    assert model.valid_to_ms + 60_000 * model.run.spec["embargo_bars"] == model.test_from_ms
    assert model.test_to_ms == series.last_ms + MINUTE


def test_a_backtest_stops_before_the_sealed_part_and_cannot_reach_into_it(model, user, series):
    made = services.backtest_now(owner=user, model=model, series=series)
    assert made.to_ms == model.test_from_ms
    assert any("is sealed and was not read" in line for line in made.assumptions)
    with pytest.raises(BadInput, match="is the sealed test part of model sealed") as refused:
        services.backtest_now(owner=user, model=model, series=series, to_ms=model.test_from_ms + MINUTE)
    assert refused.value.field == "to_ms"
    with pytest.raises(BadInput, match="sealed test part"):
        services.backtest_now(owner=user, model=model, series=series, from_ms=model.test_from_ms)
    council = services.create_council(owner=user, name="two", members=[services.Seat(model=model)])
    with pytest.raises(BadInput, match="sealed test part"):
        services.review_now(owner=user, council=council, series=series, to_ms=model.test_to_ms)
    assert services.review_now(owner=user, council=council, series=series).to_ms == model.test_from_ms


def test_an_opening_is_recorded_counted_and_told_in_every_later_result(model, user, series):
    opening = services.open_test(model=model, by=user, reason="  the last \n check ")
    assert (opening.opened_by, opening.reason) == (user, "the last check")
    tasks.backtest(opening.backtest_id)
    made = Backtest.objects.get(pk=opening.backtest_id)
    assert (made.status, made.from_ms, made.to_ms) == ("done", model.test_from_ms, model.test_to_ms)
    assert any("100% of this stretch is the model's test part, opened once" in s for s in made.assumptions)
    services.open_test(model=model, by=user, reason="again")
    later = services.backtest_now(owner=user, model=model, series=series, to_ms=model.test_from_ms)
    assert any("has been opened 2 times" in line for line in later.assumptions)
    assert services.openings(model)["count"] == 2
    event = AuditEvent.objects.filter(action="model.open_test").latest("pk")
    assert (event.actor, event.detail["reason"]) == (user, "again")


def test_every_look_after_the_opening_is_counted_and_told(model, user, series):
    part = {"series": series, "from_ms": model.test_from_ms, "to_ms": model.test_to_ms}
    opening = services.open_test(model=model, by=user, reason="the last check")
    tasks.backtest(opening.backtest_id)
    for n in range(2):
        made = services.backtest_now(owner=user, model=model, settings={"stop_loss": 0.01 * (n + 1)}, **part)
    assert any("part, opened once and tested on 2 times since, this one inc" in s for s in made.assumptions)
    council = services.create_council(owner=user, name="two", members=[services.Seat(model=model)])
    review = services.review_now(owner=user, council=council, **part)
    assert "tested on 3 times since" in str(review.assumptions)
    later = services.backtest_now(owner=user, model=model, series=series, to_ms=model.test_from_ms)
    assert any("opened once and tested on 3 times since." in line for line in later.assumptions)
    assert [services.openings(model)[name] for name in ("count", "tests", "others")] == [1, 3, 0]
    same = TrainedModel.objects.get(pk=model.pk)
    same.pk, same.run, same.name = None, None, "brother"
    same.save()
    assert [services.openings(same)[name] for name in ("count", "tests", "others")] == [0, 0, 4]


def test_of_two_looks_that_end_at_once_one_counts_the_other(model, user, series, monkeypatch):
    """The second ends between the first one's last computation and the storing of its result."""
    tasks.backtest(services.open_test(model=model, by=user, reason="the last check").backtest_id)
    part = {"series": series, "from_ms": model.test_from_ms, "to_ms": model.test_to_ms}
    first, second = (
        services.start_backtest(owner=user, model=model, settings={"stop_loss": loss}, **part)
        for loss in (0.01, 0.02)
    )
    real = backtests.report

    def reported(*given):
        made = real(*given)
        if Backtest.objects.get(pk=second.pk).status == "queued":
            tasks.backtest(second.pk)
        return made

    monkeypatch.setattr(backtests, "report", reported)
    tasks.backtest(first.pk)
    said = [" ".join(Backtest.objects.get(pk=one.pk).assumptions) for one in (second, first)]
    assert "opened once and tested on once since, this one included" in said[0]
    assert "opened once and tested on 2 times since, this one included" in said[1]


def test_openings_of_other_models_on_the_same_candles_count_too(model, user):
    services.open_test(model=model, by=user, reason="first")
    same = TrainedModel.objects.get(pk=model.pk)
    same.pk, same.run, same.name = None, None, "brother"
    same.save()
    assert {k: services.openings(same)[k] for k in ("count", "others")} == {"count": 0, "others": 1}


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 501])
def test_an_opening_without_a_usable_reason_is_refused_and_opens_nothing(model, user, reason):
    with pytest.raises(BadInput) as refused:
        services.open_test(model=model, by=user, reason=reason)
    assert refused.value.field == "reason"
    assert not TestOpening.objects.exists()
    assert not Backtest.objects.exists()


def test_a_model_without_a_test_part_cannot_be_opened(model, user):
    TrainedModel.objects.update(test_from_ms=None, test_to_ms=None)
    with pytest.raises(CommandError, match="trained without a test part"):
        call_command("open_test", "sealed", "--reason=x", stdout=StringIO())


def test_the_command_opens_backtests_and_says_so(model, capsys):
    call_command("open_test", "sealed", "--reason=chosen", "--json")
    said = capsys.readouterr().out.splitlines()[-1]
    assert '"openings": 1' in said
    assert '"status": "done"' in said


def test_the_page_asks_for_a_reason_and_shows_who_opened_it(client, user, model):
    user.is_superuser = True
    user.save()
    client.force_login(user)
    address = reverse("model-open-test", args=[model.pk])
    assert b"Opened 0 times so far" in client.get(address).content
    assert client.post(address, {"reason": " "}).status_code == 422
    answer = client.post(address, {"reason": "to be sure"})
    assert answer.url == reverse("backtest", args=[TestOpening.objects.get().backtest_id])
    page = client.get(reverse("model", args=[model.pk])).content.decode()
    assert "to be sure" in page
    assert "opened 1 time" in page


def test_whoever_looks_on_may_not_open(client, user, model):
    client.force_login(user)  # in no group: a viewer
    assert client.post(reverse("model-open-test", args=[model.pk]), {"reason": "x"}).status_code == 403
    assert client.post(f"/api/v1/models/{model.pk}/open-test/", {"reason": "x"}).status_code == 403
    assert not TestOpening.objects.exists()
