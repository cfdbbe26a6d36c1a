"""What may be done to the archive: import a file, download, synthesize, delete."""

import errno
import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError, transaction
from django.utils import timezone
from django_q.tasks import async_task

from market import archive, downloads, leases
from market.candles import MS, Candles, interval_name
from market.errors import BadInput
from market.housekeeping import close_abandoned
from market.models import ImportReport, ImportStatus, Series
from market.sources import files, registry
from market.sources.files.names import checked_pair
from market.sources.files.read import Unusable
from market.sources.port import SourceUnavailable
from market.synthetic import MARKETS
from market.web.audit import record

logger = logging.getLogger(__name__)
IMPORT_LEASE_S = 600.0  # longer than any import works in one go
DISK_FULL = "the disk is full: nothing was imported; free some space and import again"


def import_file(
    *,
    path: Path | str,
    owner: Any = None,
    format: str = "auto",
    pair: str | None = None,
    interval: str | None = None,
    source: str | None = None,
    replace: bool = False,
) -> ImportReport:
    """Import one candle file, completely or not at all, and return the report.

    :param owner: whose series it becomes; None shares it with every user.
    :param source: what to file it under; by default the venue or the file's own name.
    :param replace: let bars win that differ from archived ones.
    :raises BadInput: with the report already saved as failed.
    """
    options = _options(format, pair, interval, source, replace)
    close_abandoned()
    report = ImportReport.objects.create(
        owner=owner,
        file_name=Path(path).name[:300],
        format=format,
        status=ImportStatus.RUNNING,
        options=options,
    )
    _import(report, Path(path))
    return report


def queue_import(
    *,
    owner: Any,
    upload: UploadedFile,
    format: str = "auto",
    pair: str | None = None,
    interval: str | None = None,
    source: str | None = None,
    replace: bool = False,
) -> ImportReport:
    """Keep an uploaded file and have a worker import it; the report says how it went.

    What the first bytes show to be no candle file is refused at once; what lies deeper the report says.

    :raises BadInput: when a setting is absurd, the file is empty or no candle file, or the disk is full.
    """
    options = _options(format, pair, interval, source, replace)
    if not upload.size:
        raise BadInput(f"{upload.name} is empty", field="upload")
    name = Path(str(upload.name)).name[:300]
    kept = _keep(upload)
    try:
        files.glance(kept, name)
        with transaction.atomic():
            report = ImportReport.objects.create(
                owner=owner, file_name=name, format=format, options=options | {"upload": kept.name}
            )
            transaction.on_commit(partial(async_task, "market.tasks.import_uploaded", report.pk))
    except BadInput as error:
        kept.unlink(missing_ok=True)
        raise BadInput(error.message, field="upload") from error
    except BaseException:
        kept.unlink(missing_ok=True)
        raise
    return report


def run_queued_import(report: ImportReport) -> None:
    """Import the upload of a report that a worker has claimed, and let go of the file.

    :raises BadInput: with the report already saved as failed.
    """
    path = uploads() / str(report.options.get("upload", ""))
    try:
        _import(report, path)
    finally:
        if path.is_file():
            path.unlink()


def download(
    *,
    pair: str,
    interval: str,
    from_ms: int,
    to_ms: int,
    source: str = "binance",
    base_url: str | None = None,
    owner: Any = None,
    replace: bool = False,
    now_ms: int | None = None,
    tell: Callable[[int, int, int], None] = lambda done, wanted, known: None,
) -> ImportReport:
    """Fetch closed candles that start in [from_ms, to_ms) into the archive, stretch by stretch.

    Each stretch is stored whole or not at all, and a stretch that is stored whole is not asked for again: a
    download that broke off goes on where it stopped.

    :param base_url: another address that speaks the source's protocol.
    :param replace: ask for everything again and let bars win that differ from archived ones.
    :param now_ms: the venue's clock; by default ours.
    :param tell: called after each stretch with the bars done, the bars wanted, and how many of those done
        were stored before.
    :raises BadInput: with the report already saved as failed.
    """
    options = _options("auto", pair, interval, None, replace)
    if from_ms >= to_ms:
        raise BadInput("the download must start before it ends", field="from")
    provider = registry.connect(source, base_url)
    close_abandoned()
    name = f"{source} {options['pair']} {interval}"
    report = ImportReport.objects.create(
        owner=owner, file_name=name, format=source, status=ImportStatus.RUNNING, options=options
    )
    now = leases.now_ms() if now_ms is None else now_ms
    parts = downloads.stretches(from_ms, min(to_ms, max(now, from_ms + 1)), MS[interval])
    with _recording(report, keeps=True) as lease:
        series, made = _series(report, options["pair"], registry.label(source, base_url), MS[interval])
        known = 0
        try:
            for part in parts:
                lease.renew(ttl_s=IMPORT_LEASE_S)
                if not replace and downloads.is_stored(series, part):
                    report.rows_duplicate += part.bars
                    known += part.bars
                else:
                    candles = provider.candles(
                        options["pair"], MS[interval], part.from_ms, part.to_ms, now_ms=now
                    )
                    report.rows_read += len(candles)
                    _add(report, series, candles)
                tell(part.bars_before + part.bars, parts[-1].bars_before + parts[-1].bars, known)
        finally:
            if made:
                Series.objects.filter(pk=series.pk, rows=0).delete()
            if report.rows_new + report.rows_duplicate:
                report.series = series
        if report.series is None:
            raise BadInput(f"{source} has no closed {interval} candles of {options['pair']} in that time")
        _imported(report, series)
    return report


def synthesize(
    *,
    name: str,
    bars: int,
    seed: int,
    pair: str,
    interval: str = "1m",
    owner: Any = None,
    market: str = "regime",
) -> Series:
    """Make a seeded synthetic series and return it; the same settings again change nothing.

    :param name: what to file it under; another seed needs another name.
    :param market: one of `market.synthetic.MARKETS`.
    :raises BadInput: when a setting is absurd, or the name holds another market already.
    """
    options = _options("auto", pair, interval, name, False)
    if market not in MARKETS:
        raise BadInput(f"there is no market {market!r}; choose one of {', '.join(MARKETS)}", field="market")
    candles = MARKETS[market](bars, seed, MS[interval])
    report = ImportReport.objects.create(
        owner=owner, file_name=name, format=f"synthetic {market}", status=ImportStatus.RUNNING,
        options=options | {"bars": bars, "seed": seed}, rows_read=bars,
    )  # fmt: skip
    with _recording(report):
        try:
            series = _merge(report, candles, options["pair"], name)
        except archive.Overlap as error:
            message = f"{name!r} already holds another synthetic market; choose another name"
            raise BadInput(message, field="name") from error
    return series


def delete_series(*, series: Series) -> None:
    """Delete a series, its rows and its files."""
    folder = archive.root() / str(series.pk)
    with transaction.atomic():
        series.delete()
        transaction.on_commit(partial(shutil.rmtree, folder, ignore_errors=True))


def summary(report: ImportReport) -> dict[str, Any]:
    """Return a finished report as plain values."""
    names = (
        "status",
        "format",
        "rows_read",
        "rows_new",
        "rows_duplicate",
        "rows_rejected",
        "rejects",
        "notes",
    )
    series = report.series.as_dict() if report.series else None
    facts = {name: getattr(report, name) for name in names}
    return {"id": report.series_id, "report": report.pk, **facts, "seconds": report.seconds, "series": series}


def uploads() -> Path:
    """Return the folder in which uploaded files wait."""
    return Path(settings.VAR_DIR) / "uploads"


def _options(
    format: str, pair: str | None, interval: str | None, source: str | None, replace: bool
) -> dict[str, Any]:
    """Return checked settings; empty texts of forms mean "not said"."""
    if format not in files.FORMATS:
        raise BadInput(f"{format!r} is not a format; use one of {', '.join(files.FORMATS)}", field="format")
    if interval and interval not in MS:
        raise BadInput(f"{interval!r} is not an interval; use one of {', '.join(MS)}", field="interval")
    name = (source or "").strip()
    if len(name) > 60:
        raise BadInput("the source's name is longer than 60 characters", field="source")
    checked = checked_pair(pair) if pair else None
    return {"pair": checked, "interval": interval or None, "source": name or None, "replace": replace}


def _keep(upload: UploadedFile) -> Path:
    uploads().mkdir(parents=True, exist_ok=True)
    path = uploads() / f"import-{secrets.token_hex(8)}"
    try:
        with path.open("wb") as kept:
            for chunk in upload.chunks():
                kept.write(chunk)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise BadInput(_words(error), field="upload") from error
    return path


def _import(report: ImportReport, path: Path) -> None:
    options = report.options
    with _recording(report):
        if options.get("upload") and not path.is_file():
            raise BadInput("the uploaded file is gone; upload it again", field="upload")
        parsed = files.read(
            path,
            format=report.format,
            pair=options["pair"],
            interval=options["interval"],
            name=report.file_name,
        )
        report.format, report.notes = parsed.format, list(parsed.notes)
        report.rows_read, report.rows_rejected = parsed.rows_read, parsed.rejected
        report.rejects, report.rows_duplicate = [list(reject) for reject in parsed.rejects], parsed.duplicates
        _merge(report, parsed.candles, parsed.pair, options["source"] or parsed.source)


def _merge(report: ImportReport, candles: Candles, pair: str, source: str) -> Series:
    series, made = _series(report, pair, source, candles.interval_ms)
    try:
        _add(report, series, candles)
    except BaseException:
        if made:
            Series.objects.filter(pk=series.pk, rows=0).delete()
        raise
    _imported(report, series)
    return series


def _series(report: ImportReport, pair: str, source: str, interval_ms: int) -> tuple[Series, bool]:
    return Series.objects.get_or_create(owner=report.owner, source=source, pair=pair, interval_ms=interval_ms)


def _add(report: ImportReport, series: Series, candles: Candles) -> None:
    """Store bars, all or none, and count them in the report."""
    merged = archive.merge(series, candles, replace=bool(report.options.get("replace")))
    report.rows_new += merged.new + merged.replaced
    report.rows_duplicate += merged.duplicate
    if merged.replaced:
        report.notes.append(f"{merged.replaced} archived bars were replaced by the new values")


def _imported(report: ImportReport, series: Series) -> None:
    archive.remove_orphans(series)
    report.series = series
    record(report.owner, "series.import", series, report=report.pk, fingerprint=series.fingerprint)
    logger.info(
        "imported series=%s interval=%s new=%s",
        series.pk, interval_name(series.interval_ms), report.rows_new,
    )  # fmt: skip


@contextmanager
def _recording(report: ImportReport, *, keeps: bool = False) -> Iterator[leases.Held]:
    """Leave the outcome in the report, whatever happens; give the lease that says somebody is at it.

    :param keeps: what was stored before a failure stays, and the report says so.
    """
    started = time.perf_counter()
    fail = partial(_fail, report, started=started, keeps=keeps)
    try:
        with _held(report) as lease:
            yield lease
    except Unusable as error:
        report.rows_read, report.rows_rejected = error.rows_read, error.rejected
        report.rejects = [list(reject) for reject in error.rejects]
        fail(error.message)
        raise
    except (BadInput, SourceUnavailable) as error:
        fail(error.message)
        if isinstance(error, BadInput) and report.error == error.message:
            raise
        raise BadInput(report.error, field=getattr(error, "field", "source")) from error
    except OSError as error:
        fail(_words(error))
        raise BadInput(report.error, field="file") from error
    except BaseException as error:
        fail(f"the import broke off: {type(error).__name__}")
        raise
    report.status, report.error = ImportStatus.DONE, ""
    report.seconds = time.perf_counter() - started
    report.save()


@contextmanager
def _held(report: ImportReport) -> Iterator[leases.Held]:
    """Hold the report's lease, unless our caller does: a running report without one was abandoned."""
    name = f"import:{report.pk}"
    lease = leases.acquire(name, ttl_s=IMPORT_LEASE_S)
    try:
        yield lease or leases.Held(name, "", 0, 0)
    finally:
        if lease is not None:
            with suppress(DatabaseError):
                lease.release()


def _fail(report: ImportReport, message: str, *, started: float, keeps: bool) -> None:
    report.status, report.error = ImportStatus.FAILED, message
    if keeps and report.rows_new:
        report.error += f"; {report.rows_new:,} new bars are stored: the same download goes on from there"
    else:
        report.rows_new = report.rows_duplicate = 0
        report.series = None
    report.seconds = time.perf_counter() - started
    try:
        report.save()
    except DatabaseError as error:  # a full disk stops the database too; `close_abandoned` says it later
        logger.error("failed import not recorded report=%s at=%s: %s", report.pk, timezone.now(), error)


def _words(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DISK_FULL
    return f"the file system refused: {error.strerror or error}; nothing was imported"
