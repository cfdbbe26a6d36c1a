"""The rows of a series' partitions and gaps, brought in line with its files."""

from collections.abc import Iterable

import numpy as np
from django.db import connection

from market.models import Gap, Partition, Series


def store_partitions(partitions: Iterable[Partition]) -> None:
    """Insert partitions, or point the month's row to its new file."""
    Partition.objects.bulk_create(
        partitions,
        update_conflicts=True,
        unique_fields=["series", "month"],
        update_fields=["path", "rows", "fingerprint"],
    )


def store_gaps(series: Series, holes: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Write only the gaps that changed; thin minute series have tens of thousands of them."""
    found = set(zip(*(column.tolist() for column in holes), strict=True))
    known = dict(Gap.objects.filter(series=series).values_list("from_ms", "pk"))
    same = set(Gap.objects.filter(series=series).values_list("from_ms", "to_ms", "missing"))
    gone = [known[start] for start, _, _ in same - found]
    for first in range(0, len(gone), 500):
        Gap.objects.filter(pk__in=gone[first : first + 500]).delete()
    table = Gap._meta.db_table
    with connection.cursor() as cursor:  # model instances would cost ten times the rest of an import
        cursor.executemany(
            f"INSERT INTO {table} (series_id, from_ms, to_ms, missing) VALUES (%s, %s, %s, %s)",  # noqa: S608 the table's own name
            [(series.pk, *hole) for hole in sorted(found - same)],
        )
