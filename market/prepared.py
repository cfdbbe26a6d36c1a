"""Statements that run hundreds of times a second: their text is made once, where Django makes it every time.

Values go through the fields' own conversion, so that what is stored is what the ORM would have stored. No
signals are sent, no related rows are touched.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from django.db import connection
from django.db.models import Field, Model


class Prepared:
    """One statement over named fields of one model; its text is kept by kind of database."""

    def __init__(self, model: type[Model], names: Sequence[str]) -> None:
        self.model, self.names = model, names
        self._known: dict[str, tuple[str, list[Field]]] = {}

    def run(self, values: Sequence[Any]) -> int:
        """Execute with one value per name; return how many rows were touched."""
        found = self._known.get(connection.vendor)
        if found is None:
            found = self._known[connection.vendor] = self.text(), [self._field(name) for name in self.names]
        text, fields = found
        prepared = [
            field.get_db_prep_save(value, connection) for field, value in zip(fields, values, strict=True)
        ]
        with connection.cursor() as cursor:
            cursor.execute(text, prepared)
            return cursor.rowcount

    def text(self) -> str:
        raise NotImplementedError

    @property
    def table(self) -> str:
        return connection.ops.quote_name(self.model._meta.db_table)

    def columns(self, names: Sequence[str]) -> list[str]:
        return [connection.ops.quote_name(str(self._field(name).column)) for name in names]

    def _field(self, name: str) -> Field:
        return cast(Field, self.model._meta.get_field(name))


class Update(Prepared):
    """Set fields of the rows in which others have given values."""

    def __init__(self, model: type[Model], names: Sequence[str], *, where: Sequence[str]) -> None:
        super().__init__(model, [*names, *where])
        self._set, self._where = names, where

    def __call__(self, values: Mapping[str, Any], **where: Any) -> int:
        return self.run([*(values[name] for name in self._set), *(where[name] for name in self._where)])

    def text(self) -> str:
        sets = ", ".join(f"{column} = %s" for column in self.columns(self._set))
        where = " AND ".join(f"{column} = %s" for column in self.columns(self._where))
        return f"UPDATE {self.table} SET {sets} WHERE {where}"  # noqa: S608 - names of our own models


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
