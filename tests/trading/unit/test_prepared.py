"""Statements kept ready read and write as the ORM does."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from market import prepared
from market.prepared import Count, Insert, Rewrites, Rows, Select, Updates
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


def test_what_was_stored_is_answered_as_it_is_read(account):
    store, names = Rewrites(Holding, where=["account", "coin"]), ["quantity", "collateral", "coin"]
    odd = {"quantity": Decimal("68123.1234567890123"), "collateral": Decimal("7E+3"), "coin": "C0"}
    [kept] = store(odd, account=account.pk, coin="C0")
    read = Select(Holding, names, where=["account", "coin"])
    [row], [values] = read.rows(account=account.pk, coin="C0"), read(account=account.pk, coin="C0")
    assert kept == dict(zip(names, zip(row, values, strict=True), strict=True))
    assert store({"quantity": Decimal(1)}, account=account.pk, coin="C9") == []


MONEY = Holding._meta.get_field("quantity")
numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15)


@given(numbers)
def test_a_decimal_goes_in_as_the_field_hands_it_over(value):
    [made] = Select(Holding, ["id"], where=["quantity"]).prepared([value])[1]
    wanted = MONEY.get_db_prep_save(value, connection)
    assert (type(made), str(made)) == (type(wanted), str(wanted))


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), "no number"])
def test_what_is_no_number_is_refused_as_by_the_orm(account, value):
    store = Updates(Holding, where=["id"])
    with pytest.raises(ValidationError):
        store({"quantity": value}, id=account.holdings.first().pk)


def test_values_go_in_as_they_are_where_the_field_says_so():
    kinds = {field: prepared.plain_type(field, connection) for field in Account._meta.concrete_fields}
    named = {field.name: kind for field, kind in kinds.items()}
    assert (named["owner"], named["name"], named["is_active"], named["poll_s"]) == (int, str, bool, float)
    assert named["opened_at"] is named["stream_state"] is None
    for field, kind in kinds.items():
        if kind is not None:
            assert field.get_db_prep_save(kind(1), connection) == kind(1)


def test_a_failing_statement_is_the_orms_error_and_spoils_its_transaction(account):
    """Through SQLite's own cursor as through Django's."""
    store = Insert(Holding)
    with pytest.raises(IntegrityError), transaction.atomic():
        store(Holding(account=account, coin="C1", quantity=Decimal(1)))
    with transaction.atomic():
        store(Holding(account=account, coin="D1", quantity=Decimal(1)))
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            store(Holding(account=account, coin="D2", quantity=Decimal(1)))
    assert not account.holdings.filter(coin__startswith="D").exists()


def test_who_listens_hears_every_statement(account):
    heard = []

    def listen(execute, sql, params, many, context):
        heard.append(sql)
        return execute(sql, params, many, context)

    count = Count(Holding, where=["account"])
    with connection.execute_wrapper(listen):
        assert count(account=account.pk) == 5
    assert len(heard) == 1
    with CaptureQueriesContext(connection) as asked:
        assert count(account=account.pk) == 5
    assert len(asked) == 1
    assert count(account=account.pk) == 5
