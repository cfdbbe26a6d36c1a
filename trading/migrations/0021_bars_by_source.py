"""Live bars are named after all that they depend on: those on record are kept under each name in use.

Until now all accounts at one address shared theirs. What a session has decided on stays on record for it, and
a running one goes on with the bars it has.
"""

from collections import defaultdict
from hashlib import sha256

from django.db import migrations

COLUMNS = ("pair", "interval_ms", "open_ms", "open", "high", "low", "close", "volume", "origin")


def names_of(account):
    """As `Account.bars` names them, without and with volume."""
    market = f"{account.venue}:{account.base_url}"
    stream = sha256(account.stream_url.encode()).hexdigest()[:16]
    prices = f"{market} stream {stream}" if account.stream_url else market
    if not account.candles_url:
        return {prices}
    return {f"{prices} candles or quotes {account.candles_url}", f"{market} candles {account.candles_url}"}


def name_anew(apps, schema_editor):
    account_of, bar_of = apps.get_model("trading", "Account"), apps.get_model("market", "LiveBar")
    names = defaultdict(set)
    for account in account_of.objects.all():
        names[f"{account.venue}:{account.base_url}"] |= names_of(account)
    quoted = schema_editor.connection.ops.quote_name
    table, columns = quoted(bar_of._meta.db_table), ", ".join(map(quoted, COLUMNS))
    for market, wanted in names.items():
        for name in sorted(wanted - {market}):
            schema_editor.execute(
                f"INSERT INTO {table} (market, {columns}) SELECT %s, {columns} FROM {table} "  # noqa: S608
                "WHERE market = %s ON CONFLICT DO NOTHING",
                [name, market],
            )
        if market not in wanted:
            bar_of.objects.filter(market=market).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0020_plan_health"),
        ("market", "0004_where_bars_come_from"),
    ]

    operations = [migrations.RunPython(name_anew, migrations.RunPython.noop)]
