"""Statements that run hundreds of times a second: their text is made once, where Django makes it every time.

Values go through the fields' own conversion, so that what is stored is what the ORM would have stored. No
signals are sent, no related rows are touched.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.models import (
    BooleanField,
    CharField,
    DecimalField,
    Field,
    FloatField,
    ForeignKey,
    IntegerField,
    Model,
)

SIGNS = {"__gte": ">=", "__gt": ">"}
PLAIN: dict[type[Field], type] = {
    CharField: str, FloatField: float, IntegerField: int, BooleanField: bool, DecimalField: Decimal,
}  # fmt: skip
AS_IT_IS = BaseDatabaseOperations.adapt_decimalfield_value
LOCK = " FOR NO KEY UPDATE"  # PostgreSQL: new rows may refer to a locked one meanwhile


def ask(database: Any, text: str, values: Sequence[Any], answer: Callable[[Any], Any]) -> Any:
    """Execute a statement and return what `answer` makes of its cursor.

    SQLite's own cursor does it where nobody listens: Django's wrappers cost as much as the statement.
    """
    raw = database.connection
    if raw is None or database.vendor != "sqlite" or database.queries_logged or database.execute_wrappers:
        with database.cursor() as cursor:
            cursor.execute(text, values)
            return answer(cursor)
    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        cursor = raw.execute(text.replace("%s", "?"), values)
        try:
            return answer(cursor)
        finally:
            cursor.close()  # what it has not handed out would keep the transaction open


class Prepared:
    """One statement over named fields of one model; its text is kept by kind of database."""

    def __init__(self, model: type[Model], names: Sequence[str]) -> None:
        self.model, self.names = model, names
        self._known: dict[str, tuple[str, list[tuple[Field, type | None]]]] = {}

    def run(self, values: Sequence[Any]) -> Any:
        """Execute with one value per name; return the statement's answer."""
        return ask(connections[DEFAULT_DB_ALIAS], *self.prepared(values), self.answer)

    def prepared(self, values: Sequence[Any]) -> tuple[str, list[Any]]:
        """Return the statement's text and the values as the database takes them."""
        database = connections[DEFAULT_DB_ALIAS]
        found = self._known.get(database.vendor)
        if found is None:
            fields = [self._field(name) for name in self.names]
            columns = [(one, plain_type(one, database)) for one in fields]
            found = self._known[database.vendor] = self.text(), columns
        text, columns = found
        return text, [
            value
            if type(value) is plain and (not isinstance(value, Decimal) or value.is_finite())
            else field.get_db_prep_save(value, database)
            for (field, plain), value in zip(columns, values, strict=True)
        ]

    def text(self) -> str:
        raise NotImplementedError

    def answer(self, cursor: Any) -> Any:
        return int(cursor.rowcount)

    @property
    def table(self) -> str:
        return connection.ops.quote_name(self.model._meta.db_table)

    def columns(self, names: Sequence[str]) -> list[str]:
        return [connection.ops.quote_name(str(self._field(name).column)) for name in names]

    def where(self, names: Sequence[str]) -> str:
        """Return the condition that each of the names has its value; `NAME__gte` asks for at least that."""
        signs = [next((sign for end, sign in SIGNS.items() if name.endswith(end)), "=") for name in names]
        return " AND ".join(
            f"{column} {sign} %s" for column, sign in zip(self.columns(names), signs, strict=True)
        )

    def _field(self, name: str) -> Field:
        return cast(Field, self.model._meta.get_field(name.partition("__")[0]))


def plain_type(field: Field, database: Any) -> type | None:
    """Return the type of which a field stores values as they are; None where every value is converted.

    Of Decimals those that are numbers.
    """
    if type(field) is ForeignKey:
        return plain_type(field.target_field, database)
    for kind, plain in PLAIN.items():
        if isinstance(field, kind) and type(field).get_prep_value is kind.get_prep_value:
            adapts = type(database.ops).adapt_decimalfield_value
            return plain if plain is not Decimal or adapts is AS_IT_IS else None
    return None


class Update(Prepared):
    """Set fields of the rows in which others have given values; answers how many those were.

    :param where: names of fields; `NAME__gte` asks for at least the value
    """

    def __init__(self, model: type[Model], names: Sequence[str], *, where: Sequence[str]) -> None:
        super().__init__(model, [*names, *where])
        self._set, self._where = names, where

    def __call__(self, values: Mapping[str, Any], **where: Any) -> int:
        return int(self.run(self._given(values, where)))

    def _given(self, values: Mapping[str, Any], where: Mapping[str, Any]) -> list[Any]:
        return [*(values[name] for name in self._set), *(where[name] for name in self._where)]

    def text(self) -> str:
        sets = ", ".join(f"{column} = %s" for column in self.columns(self._set))
        return f"UPDATE {self.table} SET {sets} WHERE {self.where(self._where)}"  # noqa: S608 - our own models


class Updates:
    """`Update` of one model for callers that set now these fields, now those: one text for each set."""

    def __init__(self, model: type[Model], *, where: Sequence[str]) -> None:
        self._model, self._where = model, where
        self._known: dict[tuple[str, ...], Update] = {}

    def __call__(self, values: Mapping[str, Any], **where: Any) -> int:
        names = tuple(values)
        if names not in self._known:
            self._known[names] = Update(self._model, names, where=self._where)
        return self._known[names](values, **where)


class Rewrites:
    """`Updates` that answers what each row holds then: field -> (as handed out, as the ORM has it)."""

    def __init__(self, model: type[Model], *, where: Sequence[str]) -> None:
        self._model, self._where = model, where
        self._known: dict[tuple[str, ...], _Rewrite] = {}

    def __call__(self, values: Mapping[str, Any], **where: Any) -> list[dict[str, tuple[Any, Any]]]:
        names = tuple(values)
        if names not in self._known:
            self._known[names] = _Rewrite(self._model, names, where=self._where)
        known = self._known[names]
        rows = known.rows(values, **where)
        converted = known.reading.converted
        return [dict(zip(names, zip(row, converted(row), strict=True), strict=True)) for row in rows]


class _Rewrite(Update):
    def __init__(self, model: type[Model], names: Sequence[str], *, where: Sequence[str]) -> None:
        super().__init__(model, names, where=where)
        self.reading = Select(model, names, where=where)

    def rows(self, values: Mapping[str, Any], **where: Any) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.run(self._given(values, where))
        return found

    def answer(self, cursor: Any) -> Any:
        return _all(cursor)

    def text(self) -> str:
        return f"{super().text()} RETURNING {', '.join(self.columns(self._set))}"


class Select(Prepared):
    """Rows of named fields where others have given values, as the ORM would convert them.

    :param lock: hold the rows until the transaction ends, where the database can
    """

    def __init__(
        self, model: type[Model], names: Sequence[str], *, where: Sequence[str], lock: bool = False
    ) -> None:
        super().__init__(model, where)
        self.given, self._lock = names, lock
        self._converters: dict[str, list[list[tuple[Any, Any]]]] = {}

    def __call__(self, **where: Any) -> list[tuple[Any, ...]]:
        return [tuple(self.converted(row)) for row in self.rows(**where)]

    def rows(self, **where: Any) -> list[tuple[Any, ...]]:
        """Return the rows as the database hands them out."""
        found: list[tuple[Any, ...]] = self.run([where[name] for name in self.names])
        return found

    def converted(self, row: Sequence[Any]) -> list[Any]:
        """Return the values of a row of `rows` as the ORM would."""
        known = self._converters.get(connection.vendor)
        if known is None:
            known = self._converters[connection.vendor] = [self._of(name) for name in self.given]
        values = []
        for value, converters in zip(row, known, strict=True):
            for convert, expression in converters:
                value = convert(value, expression, connection)
            values.append(value)
        return values

    def answer(self, cursor: Any) -> Any:
        return _all(cursor)

    def text(self) -> str:
        columns = ", ".join(self.columns(self.given))
        lock = LOCK if self._lock and connection.features.has_select_for_update else ""
        return f"SELECT {columns} FROM {self.table} WHERE {self.where(self.names)}{lock}"  # noqa: S608

    def _of(self, name: str) -> list[tuple[Any, Any]]:
        field = self._field(name)
        column = field.get_col(self.model._meta.db_table)
        found = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
        return [(convert, column) for convert in found]


class Count(Prepared):
    """How many rows have given values in named fields.

    :param among: further fields, each with the values that count; their text is part of the statement
    """

    def __init__(
        self, model: type[Model], *, where: Sequence[str], among: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        super().__init__(model, where)
        self._among = among or {}

    def __call__(self, **where: Any) -> int:
        return int(self.run([where[name] for name in self.names]))

    def answer(self, cursor: Any) -> Any:
        return cursor.fetchone()[0]

    def text(self) -> str:
        conditions = [self.where(self.names)]
        for name, values in self._among.items():
            listed = ", ".join(f"'{value}'" for value in values)  # words of our own code
            conditions.append(f"{self.columns([name])[0]} IN ({listed})")
        return f"SELECT COUNT(*) FROM {self.table} WHERE {' AND '.join(conditions)}"  # noqa: S608


class Insert(Prepared):
    """Insert a model's object as a new row and give it its key, as `save(force_insert=True)` does.

    :param is_shy: leave it, where some row has what may be there only once; the answer says which it was
    """

    def __init__(self, model: type[Model], *, is_shy: bool = False) -> None:
        super().__init__(
            model, [field.name for field in model._meta.concrete_fields if not field.primary_key]
        )
        self._fields = [self._field(name) for name in self.names]
        self._is_shy = is_shy

    def __call__(self, row: Model) -> bool:
        key = self.run(self._values(row))
        if key is None:
            return False
        row.pk = key
        row._state.adding, row._state.db = False, connection.alias
        return True

    def all(self, rows: Sequence[Model]) -> None:
        """Insert several rows, which do not learn their keys."""
        made = [self.prepared(self._values(row)) for row in rows]
        if made:
            with connection.cursor() as cursor:
                cursor.executemany(made[0][0].partition(" RETURNING ")[0], [values for _, values in made])

    def _values(self, row: Model) -> list[Any]:
        return [field.pre_save(row, True) for field in self._fields]

    def answer(self, cursor: Any) -> Any:
        found = cursor.fetchone()
        return None if found is None else int(found[0])

    def text(self) -> str:
        places = ", ".join("%s" for _ in self.names)
        key = connection.ops.quote_name(str(self.model._meta.pk.column))
        shy = "ON CONFLICT DO NOTHING " if self._is_shy else ""
        return (
            f"INSERT INTO {self.table} ({', '.join(self.columns(self.names))}) VALUES ({places}) {shy}"  # noqa: S608
            f"RETURNING {key}"
        )


class Upsert(Prepared):
    """Insert one row, or renew the one whose `unique` fields have the same values."""

    def __init__(self, model: type[Model], names: Sequence[str], *, unique: Sequence[str]) -> None:
        super().__init__(model, names)
        self._unique = unique

    def __call__(self, values: Mapping[str, Any]) -> int:
        return int(self.run([values[name] for name in self.names]))

    def text(self) -> str:
        places = ", ".join("%s" for _ in self.names)
        others = [name for name in self.names if name not in self._unique]
        sets = ", ".join(f"{column} = EXCLUDED.{column}" for column in self.columns(others))
        return (
            f"INSERT INTO {self.table} ({', '.join(self.columns(self.names))}) VALUES ({places}) "  # noqa: S608
            f"ON CONFLICT ({', '.join(self.columns(self._unique))}) DO UPDATE SET {sets}"
        )


class Rows:
    """Rows of one model as the database hands them out, by key: for seeing whether anything has changed.

    A row that is as it was at the last call is the same object, so that comparing it again costs nothing.
    """

    def __init__(self, model: type[Model], *, without: Collection[str] = ()) -> None:
        fields = [field for field in model._meta.concrete_fields if field.name not in without]
        self._columns, self._table = [str(field.column) for field in fields], model._meta.db_table
        self._key = str(model._meta.pk.column)
        self._last: dict[int, tuple[Any, ...]] = {}

    def __call__(self, keys: Collection[int]) -> dict[int, tuple[Any, ...]]:
        found = {}
        if keys:
            rows = ask(connections[DEFAULT_DB_ALIAS], self._text(len(keys)), list(keys), _all)
            found = {row[0]: row for row in rows}
        for key, row in found.items():
            if row == self._last.get(key):
                found[key] = self._last[key]
        self._last = found
        return found

    def one(self, key: int) -> tuple[Any, ...] | None:
        """Return the row of one key, by itself; what the next call for many is compared with stays."""
        for row in ask(connections[DEFAULT_DB_ALIAS], self._text(1), [key], _all):
            return self._last[key] if self._last.get(key) == row else row
        return None

    def _text(self, count: int) -> str:
        quote = connection.ops.quote_name
        columns = ", ".join(quote(name) for name in (self._key, *self._columns))
        places = ", ".join(["%s"] * count)
        return f"SELECT {columns} FROM {quote(self._table)} WHERE {quote(self._key)} IN ({places})"  # noqa: S608


def _all(cursor: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in cursor.fetchall()]
