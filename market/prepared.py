"""Statements that run hundreds of times a second: their text is made once, where Django makes it every time.

Values go through the fields' own conversion, so that what is stored is what the ORM would have stored. No
signals are sent, no related rows are touched.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import CharField, Field, FloatField, IntegerField, Model

LEAST = "__gte"
PLAIN: dict[type[Field], type] = {CharField: str, FloatField: float, IntegerField: int}


class Prepared:
    """One statement over named fields of one model; its text is kept by kind of database."""

    def __init__(self, model: type[Model], names: Sequence[str]) -> None:
        self.model, self.names = model, names
        self._known: dict[str, tuple[str, list[tuple[Field, type | None]]]] = {}

    def run(self, values: Sequence[Any]) -> int:
        """Execute with one value per name; return the statement's answer."""
        database = connections[DEFAULT_DB_ALIAS]
        found = self._known.get(database.vendor)
        if found is None:
            fields = [self._field(name) for name in self.names]
            found = self._known[database.vendor] = self.text(), [(one, plain_type(one)) for one in fields]
        text, columns = found
        prepared: list[Any] = [
            value if type(value) is plain else field.get_db_prep_save(value, database)
            for (field, plain), value in zip(columns, values, strict=True)
        ]
        with database.cursor() as cursor:
            cursor.execute(text, prepared)
            return self.answer(cursor)

    def text(self) -> str:
        raise NotImplementedError

    def answer(self, cursor: Any) -> int:
        return int(cursor.rowcount)

    @property
    def table(self) -> str:
        return connection.ops.quote_name(self.model._meta.db_table)

    def columns(self, names: Sequence[str]) -> list[str]:
        return [connection.ops.quote_name(str(self._field(name).column)) for name in names]

    def _field(self, name: str) -> Field:
        return cast(Field, self.model._meta.get_field(name.removesuffix(LEAST)))


def plain_type(field: Field) -> type | None:
    """Return the type of which a field stores values as they are; None where every value is converted."""
    for kind, plain in PLAIN.items():
        if isinstance(field, kind) and type(field).get_prep_value is kind.get_prep_value:
            return plain
    return None


class Update(Prepared):
    """Set fields of the rows in which others have given values; answers how many those were.

    :param where: names of fields; `NAME__gte` asks for at least the value
    """

    def __init__(self, model: type[Model], names: Sequence[str], *, where: Sequence[str]) -> None:
        super().__init__(model, [*names, *where])
        self._set, self._where = names, where

    def __call__(self, values: Mapping[str, Any], **where: Any) -> int:
        return self.run([*(values[name] for name in self._set), *(where[name] for name in self._where)])

    def text(self) -> str:
        sets = ", ".join(f"{column} = %s" for column in self.columns(self._set))
        signs = [">=" if name.endswith(LEAST) else "=" for name in self._where]
        columns = self.columns(self._where)
        where = " AND ".join(f"{column} {sign} %s" for column, sign in zip(columns, signs, strict=True))
        return f"UPDATE {self.table} SET {sets} WHERE {where}"  # noqa: S608 - names of our own models


class Insert(Prepared):
    """Insert a model's object as a new row and give it its key, as `save(force_insert=True)` does."""

    def __init__(self, model: type[Model]) -> None:
        super().__init__(
            model, [field.name for field in model._meta.concrete_fields if not field.primary_key]
        )
        self._attributes = [self._field(name).attname for name in self.names]

    def __call__(self, row: Model) -> None:
        row.pk = self.run([getattr(row, name) for name in self._attributes])
        row._state.adding, row._state.db = False, connection.alias

    def answer(self, cursor: Any) -> int:
        return int(cursor.fetchone()[0])

    def text(self) -> str:
        places = ", ".join("%s" for _ in self.names)
        key = connection.ops.quote_name(str(self.model._meta.pk.column))
        return (
            f"INSERT INTO {self.table} ({', '.join(self.columns(self.names))}) VALUES ({places}) "  # noqa: S608
            f"RETURNING {key}"
        )


class Upsert(Prepared):
    """Insert one row, or renew the one whose `unique` fields have the same values."""

    def __init__(self, model: type[Model], names: Sequence[str], *, unique: Sequence[str]) -> None:
        super().__init__(model, names)
        self._unique = unique

    def __call__(self, values: Mapping[str, Any]) -> int:
        return self.run([values[name] for name in self.names])

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
            quote = connection.ops.quote_name
            columns = ", ".join(quote(name) for name in (self._key, *self._columns))
            places = ", ".join("%s" for _ in keys)
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT {columns} FROM {quote(self._table)} WHERE {quote(self._key)} IN ({places})",  # noqa: S608
                    list(keys),
                )
                found = {row[0]: row for row in cursor.fetchall()}
        for key, row in found.items():
            if row == self._last.get(key):
                found[key] = self._last[key]
        self._last = found
        return found
