"""Statements kept ready read and write as the ORM does."""

from decimal import Decimal

import pytest

from market.prepared import Count, Insert, Rows, Select, Updates
from trading.models import Account, Holding, LedgerEntry

AMOUNTS = [
    Decimal("68123.123456789012"),
    Decimal("0.000000000001"),
    Decimal("7E+3"),
    Decimal("-0.1"),
    Decimal(0),
]


@pytest.fixture
def account(user):
    account = Account.objects.create(owner=user, name="a", venue="roostoo", base_url="http://127.0.0.1:1")
    for number, amount in enumerate(AMOUNTS):
        Holding.objects.create(account=account, coin=f"C{number}", quantity=amount)
    return account


def test_a_row_is_what_the_orm_makes_of_it(account):
    names = ["id", "account", "coin", "quantity", "collateral"]
    found = Select(Holding, names, where=["account"], lock=False)(account=account.pk)
    wanted = Holding.objects.filter(account=account).values_list(*names)
    assert sorted(found) == sorted(wanted)
    assert [type(value) for value in found[0]] == [type(value) for value in wanted[0]]


def test_conditions_are_equal_more_or_at_least(account):
    keys = sorted(account.holdings.values_list("id", flat=True))
    assert Count(Holding, where=["account"])(account=account.pk) == 5
    assert Count(Holding, where=["account", "coin"])(account=account.pk, coin="C1") == 1
    assert Count(Holding, where=["id__gt"])(id__gt=keys[1]) == 3
    assert Count(Holding, where=["id__gte"])(id__gte=keys[1]) == 4
    among = Count(Holding, where=["account"], among={"coin": ["C1", "C3", "C9"]})
    assert among(account=account.pk) == 2
    locked = Select(Holding, ["id"], where=["id__gt"], lock=True)
    assert sorted(locked(id__gt=keys[2])) == [(key,) for key in keys[3:]]


def test_now_these_fields_are_set_now_those(account):
    store = Updates(Holding, where=["account", "coin"])
    assert store({"quantity": Decimal(2)}, account=account.pk, coin="C0") == 1
    assert store({"collateral": Decimal(3), "quantity": Decimal(4)}, account=account.pk, coin="C0") == 1
    assert store({"quantity": Decimal(9)}, account=account.pk, coin="C9") == 0
    assert account.holdings.values_list("quantity", "collateral").get(coin="C0") == (4, 3)


def test_a_shy_insert_leaves_what_may_be_there_once(account):
    store = Insert(Holding, is_shy=True)
    assert not store(Holding(account=account, coin="C2", quantity=Decimal(5)))
    assert account.holdings.get(coin="C2").quantity == AMOUNTS[2]
    fresh = Holding(account=account, coin="NEW", quantity=Decimal(5))
    assert store(fresh)
    assert account.holdings.get(coin="NEW") == fresh


def test_several_rows_are_inserted_in_their_order_with_what_the_fields_add(account):
    rows = [LedgerEntry(account=account, coin=f"C{k}", amount=Decimal(k), kind="trade") for k in range(3)]
    Insert(LedgerEntry).all(rows)
    Insert(LedgerEntry).all([])
    assert list(account.ledger.values_list("coin", "amount")) == [("C0", 0), ("C1", 1), ("C2", 2)]
    assert not account.ledger.filter(at=None).exists()


def test_one_row_by_itself_is_as_among_many(account):
    rows, keys = Rows(Holding, without=["collateral"]), sorted(account.holdings.values_list("id", flat=True))
    found = rows(keys)
    assert rows.one(keys[0]) is found[keys[0]]
    account.holdings.filter(pk=keys[1]).update(quantity=5)
    assert rows.one(keys[1]) != found[keys[1]]
    assert rows.one(keys[1]) == rows(keys)[keys[1]]
    assert rows.one(keys[-1] + 1) is None
