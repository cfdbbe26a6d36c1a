"""Imports, downloads and synthetic series as pages, API and commands start them."""

import errno
import shutil
from datetime import timedelta

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.utils import timezone
from django_q.brokers import get_broker
from hypothesis import given
from hypothesis import strategies as st

from market import archive, downloads, housekeeping, leases, services, tasks
from market.archive import files
from market.errors import BadInput
from market.models import AuditEvent, IdempotencyKey, ImportReport, Series
from market.sources import registry
from market.sources.port import SourceUnavailable

pytestmark = pytest.mark.django_db
START = 1_704_067_200_000
LINES = [
    "open_time,open,high,low,close,volume",
    *(f"{START + k * 60_000},100,101,99,100.5,2" for k in range(10)),
]


@pytest.fixture
def candle_file(tmp_path):
    def write(lines=LINES, name="BTCUSDT-1m.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines))
        return path

    return write


def upload(lines=LINES, name="BTCUSDT-1m.csv"):
    return SimpleUploadedFile(name, "\n".join(lines).encode())


def test_an_import_becomes_a_series_and_a_report(candle_file, user):
    report = services.import_file(path=candle_file([*LINES, f"{START},0,0,0,0,0"]), owner=user)
    series = report.series
    assert (report.status, report.rows_read, report.rows_new, report.rows_rejected) == ("done", 11, 10, 1)
    assert report.rejects == [[12, "open is 0; prices must be above zero"]]
    assert (series.owner, series.pair, series.interval, series.rows) == (user, "BTC/USDT", "1m", 10)
    assert AuditEvent.objects.get().action == "series.import"


def test_importing_twice_finds_only_duplicates(candle_file):
    first = services.import_file(path=candle_file())
    again = services.import_file(path=str(candle_file()))
    assert (again.rows_new, again.rows_duplicate, again.series) == (0, 10, first.series)


def test_consecutive_files_of_one_venue_join_one_series(shared_data):
    for month in ("2024-12", "2025-01"):
        report = services.import_file(path=shared_data / f"raw/binance-vision-spot-BTCUSDT-1h-{month}.csv")
    assert (report.series.rows, report.series.gaps.count()) == (1488, 0)


def test_a_file_of_the_same_weeks_in_another_format_is_all_duplicates(shared_data):
    services.import_file(path=shared_data / "binance-ADAUSDT-1m-20210917-20211017.parquet")
    again = services.import_file(path=shared_data / "raw/freqtrade-ADA_USDT-1m.json", source="binance")
    assert (again.rows_new, again.rows_duplicate) == (0, 43_079)
    assert list(again.series.gaps.values_list("missing", flat=True)) == [120]


def test_thousands_of_real_gaps_are_rows(shared_data):
    report = services.import_file(path=shared_data / "bitfinex-BTCUSD-1m-20170101-20181231.parquet")
    missing = list(report.series.gaps.values_list("missing", flat=True))
    assert (report.series.rows, len(missing), sum(missing), max(missing)) == (1_025_708, 18_195, 25_492, 67)


def failed(words, **given):
    with pytest.raises(BadInput, match=words):
        services.import_file(**given)
    report = ImportReport.objects.first()
    assert (report.status, report.rows_new, report.series) == ("failed", 0, None)
    return report


def test_a_file_that_cannot_be_used_leaves_a_failed_report_and_nothing_else(candle_file):
    report = failed("no candles", path=candle_file(["hello", "world"]))
    assert "no candles" in report.error
    assert Series.objects.count() == 0


def test_revised_bars_are_refused_and_taken_only_when_asked(candle_file):
    services.import_file(path=candle_file())
    revised = [*LINES[:-1], LINES[-1].replace("100.5", "100.6")]
    report = failed("1 of these bars are in the archive with other values", path=candle_file(revised))
    assert "replace" in report.error
    again = services.import_file(path=candle_file(revised), replace=True)
    assert (again.rows_new, again.rows_duplicate) == (1, 9)
    assert archive.load(again.series).close[-1] == 100.6


def test_reasons_are_reported_even_when_the_whole_file_is_refused(candle_file):
    bad = [f"{START + k * 60_000},0,0,0,0,0" for k in range(30, 50)]
    report = failed("20 of 30 rows are no candles", path=candle_file([*LINES, *bad]))
    assert (report.rows_read, report.rows_rejected, len(report.rejects)) == (30, 20, 20)


@pytest.mark.parametrize("existing", [False, True])
def test_a_full_disk_changes_nothing_and_is_said_in_one_sentence(candle_file, monkeypatch, existing):
    before = services.import_file(path=candle_file()).series.as_dict() if existing else None
    more = [*LINES, f"{START + 20 * 60_000},100,101,99,100.5,2"]

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    report = failed("the disk is full: nothing was imported", path=candle_file(more))
    assert report.error == services.DISK_FULL
    assert [s.as_dict() for s in Series.objects.all()] == ([before] if existing else [])
    left = list((archive.root()).rglob("*.parquet")) + list(archive.root().rglob("*.tmp"))
    assert len(left) == (1 if existing else 0)


def test_a_report_whose_process_died_long_ago_is_closed(candle_file):
    ImportReport.objects.create(file_name="dead", status="running", options={"pair": None})
    ImportReport.objects.update(created_at=timezone.now() - timedelta(days=1))
    services.import_file(path=candle_file())
    assert ImportReport.objects.get(file_name="dead").error.startswith("the process that imported this ended")


def test_a_report_that_a_full_database_could_not_close_is_closed_later(candle_file, monkeypatch):
    real = ImportReport.save

    def full(self, *args, **kwargs):
        if self.pk is not None:
            raise OperationalError("database or disk is full")
        real(self, *args, **kwargs)

    with monkeypatch.context() as broken:
        broken.setattr(ImportReport, "save", full)
        with pytest.raises(BadInput, match="no candles"):
            services.import_file(path=candle_file(["hello"]))
    assert ImportReport.objects.get().status == "running"
    assert housekeeping.close_abandoned() == 0  # it may just have begun
    ImportReport.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    held = leases.acquire(f"import:{ImportReport.objects.get().pk}")
    assert housekeeping.close_abandoned() == 0  # somebody is at it
    held.release()
    housekeeping.tidy()
    assert ImportReport.objects.get().status == "failed"


def test_an_upload_the_queue_still_holds_is_not_given_up(user):
    report = queued(user)
    ImportReport.objects.update(status="running", created_at=timezone.now() - timedelta(minutes=2))
    assert housekeeping.close_abandoned() == 0
    (services.uploads() / report.options["upload"]).unlink()
    assert housekeeping.close_abandoned() == 1


def test_old_idempotency_keys_are_forgotten(user, settings):
    for key, hours in (("old", 49), ("new", 47)):
        IdempotencyKey.objects.create(user=user, key=key, path="/", body_hash="0" * 64)
        made = timezone.now() - timedelta(hours=hours)
        IdempotencyKey.objects.filter(key=key).update(created_at=made)
    housekeeping.tidy()
    assert IdempotencyKey.objects.get().key == "new"


@pytest.mark.parametrize(
    ("given", "field"),
    [({"pair": "??"}, "pair"), ({"interval": "9m"}, "interval"),
     ({"format": "xls"}, "format"), ({"source": "x" * 61}, "source")],
)  # fmt: skip
def test_absurd_settings_are_refused_before_anything_is_stored(candle_file, user, given, field):
    for act in (services.import_file, services.queue_import):
        target = {"path": candle_file()} if act is services.import_file else {"upload": upload()}
        with pytest.raises(BadInput) as raised:
            act(owner=user, **target, **given)
        assert raised.value.field == field
    assert ImportReport.objects.count() == 0


def test_each_user_has_a_series_of_their_own(candle_file, user, other_user):
    mine = services.import_file(path=candle_file(), owner=user).series
    theirs = services.import_file(path=candle_file(), owner=other_user).series
    assert mine.pk != theirs.pk
    assert list(Series.objects.visible_to(user)) == [mine]


def queued(user, **given):
    return services.queue_import(owner=user, **{"upload": upload()} | given)


def test_an_upload_waits_for_a_worker_and_is_imported_once(user, django_capture_on_commit_callbacks):
    waiting = get_broker().queue_size()  # of the database, or of Redis
    with django_capture_on_commit_callbacks(execute=True):
        report = queued(user, pair="", interval="")
    assert (report.status, get_broker().queue_size()) == ("queued", waiting + 1)
    for _ in range(2):  # delivered twice
        tasks.import_uploaded(report.pk)
    report.refresh_from_db()
    assert (report.status, report.rows_new, report.file_name) == ("done", 10, "BTCUSDT-1m.csv")
    assert ImportReport.objects.count() == 1
    assert list(services.uploads().iterdir()) == []


def test_an_upload_that_a_dead_worker_left_running_is_taken_up_again(user):
    report = queued(user)
    ImportReport.objects.update(status="running")
    tasks.import_uploaded(report.pk)
    report.refresh_from_db()
    assert report.status == "done"


def test_an_upload_that_another_worker_holds_is_left_alone(user):
    report = queued(user)
    held = leases.acquire(f"import:{report.pk}", ttl_s=60)
    tasks.import_uploaded(report.pk)
    report.refresh_from_db()
    assert report.status == "queued"
    held.release()


def test_a_bad_upload_fails_in_its_report_only(user):
    report = queued(user, upload=upload([LINES[0], *(f"{START + k * 60_000},0,0,0,0,0" for k in range(3))]))
    tasks.import_uploaded(report.pk)
    report.refresh_from_db()
    assert report.status == "failed"
    assert "prices must be above zero" in report.error


def test_an_upload_whose_file_is_gone_says_so(user):
    report = queued(user)
    shutil.rmtree(services.uploads())
    tasks.import_uploaded(report.pk)
    report.refresh_from_db()
    assert report.error == "the uploaded file is gone; upload it again"


def test_a_deleted_report_is_no_work(user):
    report = queued(user)
    pk = report.pk
    report.delete()
    tasks.import_uploaded(pk)


def test_an_empty_upload_is_refused_at_once(user):
    with pytest.raises(BadInput, match="is empty"):
        queued(user, upload=SimpleUploadedFile("a.csv", b""))


class Source:
    """Serves what it is given, or fails."""

    def __init__(self, answer):
        self.answer = answer

    def candles(self, pair, interval_ms, from_ms, to_ms, *, now_ms):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer[: int(np.searchsorted(self.answer.open_ms, min(to_ms, now_ms - interval_ms + 1)))]


def fetch(monkeypatch, answer, **given):
    monkeypatch.setitem(registry.SOURCES, "binance", lambda url: Source(answer))
    asked = {
        "pair": "BTC/USD",
        "interval": "1m",
        "from_ms": START,
        "to_ms": START + 600_000,
        "now_ms": START + 10**9,
    }
    return services.download(**asked | given)


@pytest.fixture
def ten_bars(candle_file):
    return files_read(candle_file())


def files_read(path):
    return services.files.read(path).candles


def test_a_download_joins_the_venues_series(monkeypatch, ten_bars):
    assert fetch(monkeypatch, ten_bars[:4]).rows_new == 4
    report = fetch(monkeypatch, ten_bars)
    assert (report.rows_new, report.rows_duplicate, report.series.source) == (6, 4, "binance")


def test_a_download_from_another_address_is_another_series(monkeypatch, ten_bars):
    report = fetch(monkeypatch, ten_bars, base_url="http://127.0.0.1:8081")
    assert report.series.source == "binance@127.0.0.1:8081"


class Breaking(Source):
    """A source whose line breaks after some stretches; remembers what it was asked for."""

    def __init__(self, answer, good):
        super().__init__(answer)
        self.good, self.asked = good, []

    def candles(self, pair, interval_ms, from_ms, to_ms, *, now_ms):
        self.asked.append((from_ms, to_ms))
        if len(self.asked) > self.good:
            raise SourceUnavailable("the line broke")
        return self.answer.between(from_ms, to_ms)


def test_a_broken_download_goes_on_where_it_stopped(monkeypatch, ten_bars):
    monkeypatch.setattr(downloads, "STRETCH_BARS", 4)
    line, seen = Breaking(ten_bars, good=2), []
    monkeypatch.setattr(registry, "connect", lambda source, url: line)
    with pytest.raises(BadInput, match=r"the line broke; 8 new bars are stored: the same download goes on"):
        fetch(monkeypatch, None)
    broken = ImportReport.objects.get()
    assert (broken.status, broken.rows_new, broken.series.rows) == ("failed", 8, 8)
    line.good = 9
    report = fetch(monkeypatch, None, tell=lambda *counts: seen.append(counts))
    assert (report.status, report.rows_new, report.rows_duplicate, report.series.rows) == ("done", 2, 8, 10)
    assert line.asked[3:] == [(START + 8 * 60_000, START + 10 * 60_000)]
    assert seen == [(4, 10, 4), (8, 10, 8), (10, 10, 8)]


@given(
    first=st.integers(0, 300_000), length=st.integers(1, 900_000), size=st.integers(1, 9),
)  # fmt: skip
def test_stretches_cover_every_bar_once(first, length, size):
    before = downloads.STRETCH_BARS
    downloads.STRETCH_BARS = size
    try:
        found = downloads.stretches(first, first + length, 60_000)
    finally:
        downloads.STRETCH_BARS = before
    wanted = [t for t in range(0, first + length, 60_000) if t >= first]
    covered = [t for part in found for t in wanted if part.from_ms <= t < part.to_ms]
    assert covered == wanted
    assert sum(part.bars for part in found) == len(wanted)
    assert [part.bars_before for part in found] == [sum(p.bars for p in found[:k]) for k in range(len(found))]


@pytest.mark.parametrize("error", [SourceUnavailable("the venue is down"), BadInput("no such pair", "pair")])
def test_a_failed_download_is_reported_in_one_sentence(monkeypatch, error):
    with pytest.raises(BadInput, match=error.message):
        fetch(monkeypatch, error)
    assert ImportReport.objects.get().error == error.message
    assert Series.objects.count() == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [({"to_ms": START}, "start before it ends"),
     ({"source": "mars"}, "no source 'mars'"), ({"now_ms": START}, "no closed")],
)  # fmt: skip
def test_a_download_of_nothing_is_refused(monkeypatch, ten_bars, given, words):
    with pytest.raises(BadInput, match=words):
        fetch(monkeypatch, ten_bars, **given)


def test_a_synthetic_series_is_repeatable_and_extendable(user):
    made = {"name": "demo synthetic", "seed": 7, "pair": "SIM/USD", "owner": user}
    series = services.synthesize(bars=100, **made)
    assert services.synthesize(bars=100, **made).fingerprint == series.fingerprint
    assert services.synthesize(bars=150, **made).rows == 150


def test_a_name_holds_one_synthetic_market_only():
    services.synthesize(name="a", bars=10, seed=1, pair="SIM/USD")
    with pytest.raises(BadInput, match="already holds another synthetic market"):
        services.synthesize(name="a", bars=10, seed=2, pair="SIM/USD")


def test_a_deleted_series_leaves_no_files(candle_file, django_capture_on_commit_callbacks):
    series = services.import_file(path=candle_file()).series
    with django_capture_on_commit_callbacks(execute=True):
        services.delete_series(series=series)
    assert list(archive.root().iterdir()) == []
    assert ImportReport.objects.get().series is None
