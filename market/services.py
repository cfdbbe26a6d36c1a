"""What may be done to the archive: import a file, download, synthesize, delete."""

import errno
import logging
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError, transaction
from django.utils import timezone
from django_q.tasks import async_task

from market import archive, leases
from market.candles import MS, Candles, interval_name
from market.errors import BadInput
from market.models import ImportReport, ImportStatus, Series
from market.sources import files, registry
from market.sources.files.names import checked_pair
from market.sources.files.read import Unusable
from market.sources.port import SourceUnavailable
from market.synthetic import MARKETS
from market.web.audit import record

logger = logging.getLogger(__name__)
ABANDONED = timedelta(hours=6)
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
    _close_abandoned()
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

    :raises BadInput: when a setting is absurd, the file is empty, or the disk is full.
    """
    options = _options(format, pair, interval, source, replace)
    if not upload.size:
        raise BadInput(f"{upload.name} is empty", field="upload")
    kept = _keep(upload)
    with transaction.atomic():
        report = ImportReport.objects.create(
            owner=owner,
            file_name=Path(str(upload.name)).name[:300],
            format=format,
            options=options | {"upload": kept.name},
        )
        transaction.on_commit(partial(async_task, "market.tasks.import_uploaded", report.pk))
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
) -> ImportReport:
    """Fetch closed candles that start in [from_ms, to_ms) into the archive, all or none.

    :param base_url: another address that speaks the source's protocol.
    :param now_ms: the venue's clock; by default ours.
    :raises BadInput: with the report already saved as failed.
    """
    options = _options("auto", pair, interval, None, replace)
    if from_ms >= to_ms:
        raise BadInput("the download must start before it ends", field="from")
    provider = registry.connect(source, base_url)
    _close_abandoned()
    name = f"{source} {options['pair']} {interval}"
    report = ImportReport.objects.create(
        owner=owner, file_name=name, format=source, status=ImportStatus.RUNNING, options=options
    )
    with _recording(report):
        now = leases.now_ms() if now_ms is None else now_ms
        candles = provider.candles(options["pair"], MS[interval], from_ms, to_ms, now_ms=now)
        if len(candles) == 0:
            raise BadInput(f"{source} has no closed {interval} candles of {options['pair']} in that time")
        report.rows_read = len(candles)
        _merge(report, candles, options["pair"], registry.label(source, base_url))
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


def _close_abandoned() -> None:
    """Say so in reports whose process is long dead; uploads are taken up again by `market.tasks`."""
    running = ImportReport.objects.filter(status=ImportStatus.RUNNING, options__upload__isnull=True)
    running.filter(created_at__lt=timezone.now() - ABANDONED).update(
        status=ImportStatus.FAILED, error="the process that imported this ended; nothing was imported"
    )


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
    series, made = Series.objects.get_or_create(
        owner=report.owner, source=source, pair=pair, interval_ms=candles.interval_ms
    )
    try:
        merged = archive.merge(series, candles, replace=bool(report.options.get("replace")))
    except BaseException:
        if made:
            Series.objects.filter(pk=series.pk, rows=0).delete()
        raise
    archive.remove_orphans(series)
    report.series = series
    report.rows_new = merged.new + merged.replaced
    report.rows_duplicate += merged.duplicate
    if merged.replaced:
        report.notes.append(f"{merged.replaced} archived bars were replaced by the new values")
    record(report.owner, "series.import", series, report=report.pk, fingerprint=series.fingerprint)
    logger.info(
        "imported series=%s interval=%s new=%s", series.pk, interval_name(series.interval_ms), merged.new
    )
    return series


@contextmanager
def _recording(report: ImportReport) -> Iterator[None]:
    """Leave the outcome in the report, whatever happens."""
    started = time.perf_counter()
    try:
        yield
    except Unusable as error:
        report.rows_read, report.rows_rejected = error.rows_read, error.rejected
        report.rejects = [list(reject) for reject in error.rejects]
        _fail(report, error.message, started)
        raise
    except (BadInput, SourceUnavailable) as error:
        _fail(report, error.message, started)
        raise error if isinstance(error, BadInput) else BadInput(error.message, field="source") from error
    except OSError as error:
        _fail(report, _words(error), started)
        raise BadInput(_words(error), field="file") from error
    except BaseException as error:
        _fail(report, f"the import broke off: {type(error).__name__}", started)
        raise
    report.status, report.error = ImportStatus.DONE, ""
    report.seconds = time.perf_counter() - started
    report.save()


def _fail(report: ImportReport, message: str, started: float) -> None:
    report.status, report.error = ImportStatus.FAILED, message
    report.rows_new = report.rows_duplicate = 0
    report.series = None
    report.seconds = time.perf_counter() - started
    try:
        report.save()
    except DatabaseError as error:  # a full disk stops the database too; the caller is told all the same
        logger.error("failed import not recorded report=%s at=%s: %s", report.pk, timezone.now(), error)


def _words(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DISK_FULL
    return f"the file system refused: {error.strerror or error}; nothing was imported"
