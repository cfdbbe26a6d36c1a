"""What survives the sandbox's own death, in real processes."""

import pytest

from market.errors import BadInput
from market.sandbox.options import Options, build
from market.sandbox.store import Store
from tests.market.sandbox.conftest import T0
from tests.sandbox_server import SECRET, start_sandbox

QUOTES = [(T0 + 1000 * n, "BTC/USD", f"{100 - n}.00", f"{100 - n}.01", f"{100 - n}.00") for n in range(10)]


def books(venue):
    state = venue.state()
    account = {name: value for name, value in state["accounts"][venue.key].items() if name != "calls"}
    return account, state["clock_ms"], state["journal"]


def traded(venue):
    venue.order("BUY", "2")
    venue.order("SELL", "1", "300")
    waiting = venue.order("BUY", "1", "97.5")["OrderDetail"]["OrderID"]
    venue.signed("POST", "/v6/short_open", pair="BTC/USD", collateral=100)
    venue.advance(2000)
    venue.signed("POST", "/v6/short_close", pair="BTC/USD", close_pct=50)
    return waiting


def test_kill_9_loses_nothing_and_the_exchange_goes_on():
    with start_sandbox(feed=QUOTES, process=True) as venue:
        waiting = traded(venue)
        before = books(venue)
        venue.kill()
        venue.restart()
        assert books(venue) == before
        venue.advance(1000)
        row = venue.signed("POST", "/v3/query_order", order_id=waiting)["OrderMatched"][0]
        assert (row["Status"], row["FinishTimestamp"]) == ("FILLED", T0 + 3000)
        assert venue.order("BUY", "1")["OrderDetail"]["OrderID"] > waiting + 2
        assert venue.stop() == 0


def test_the_running_clock_never_goes_back():
    with start_sandbox(clock="real", speed=100, process=True) as venue:
        shown = venue.now_ms()
        venue.kill()
        venue.restart()
        assert venue.now_ms() >= shown


def test_secrets_are_not_stored(tmp_path):
    with start_sandbox(feed=QUOTES, state_dir=tmp_path / "state") as venue:
        venue.order("BUY", "1")
    stored = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    assert SECRET.encode() not in stored


def test_a_torn_last_line_is_cut_off(tmp_path):
    with start_sandbox(feed=QUOTES, state_dir=tmp_path / "state") as venue:
        venue.order("BUY", "1")
        before = books(venue)
        venue.stop()
        with (tmp_path / "state" / "journal.jsonl").open("ab") as journal:
            journal.write(b'{"seq": 99, "kind": "order_fil')
        venue.restart()
        assert books(venue) == before
        venue.order("BUY", "1")
        venue.stop()
        venue.restart()
        assert len(venue.account()["orders"]) == 2


def test_two_sandboxes_cannot_share_a_state_folder(tmp_path):
    first = Store(tmp_path)
    with pytest.raises(BadInput, match="another sandbox uses"):
        Store(tmp_path)
    first.close()


def test_a_fresh_start_forgets(tmp_path):
    with start_sandbox(feed=QUOTES, state_dir=tmp_path / "state") as venue:
        venue.order("BUY", "1")
        venue.stop()
        venue.options.fresh = True
        venue._start()
        assert venue.account()["orders"] == []


def test_a_damaged_journal_is_named(tmp_path):
    (tmp_path / "journal.jsonl").write_text("{}\nnonsense\n")
    store = Store(tmp_path)
    with pytest.raises(BadInput, match=r"line 2 of .* is damaged"):
        list(store.events())
    store.close()


def test_a_feed_of_another_time_is_refused_on_an_old_state(tmp_path):
    with start_sandbox(feed="synthetic:7", state_dir=tmp_path) as venue:
        venue.order("BUY", "0.001")
    with pytest.raises(BadInput, match="--fresh to forget it"):
        start_sandbox(feed=[(5, *QUOTES[0][1:])], state_dir=tmp_path)


def test_a_refused_start_leaves_the_stored_exchange_as_it_was(tmp_path):
    with start_sandbox(feed=QUOTES, state_dir=tmp_path) as venue:
        venue.order("BUY", "1")
    before = (tmp_path / "journal.jsonl").read_bytes()
    for wrong in ({"feeds": ["replay:/missing@BTC/USD"]}, {"faults": ["latency_ms=nan"]}):
        asked = {"feeds": ["synthetic:7"], "clock": "manual", "fresh": True} | wrong
        with pytest.raises(BadInput):
            build(Options(state=tmp_path, **asked))
        assert (tmp_path / "journal.jsonl").read_bytes() == before
