"""A feature set as data: names, kinds and parameters, with a hash that a trained model carries."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from market.errors import BadInput
from market.features import series
from market.features.catalogue import CATALOGUE
from market.features.kinds import Plan

IMPLEMENTATION = 1  # raise it whenever any kind's values change: models made before then refuse to run


@dataclass(frozen=True)
class FeatureSpec:
    """One column: its name, the kind of the catalogue, and the kind's parameters (defaults are filled in).

    :raises BadInput: for an unknown kind or parameter, or a value out of bounds.
    """

    name: str
    kind: str
    params: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 1 <= len(self.name) <= 60:
            raise BadInput(
                f"A feature's name must be text of 1 to 60 characters, not {self.name!r}.", "features"
            )
        if not isinstance(self.kind, str) or self.kind not in CATALOGUE:
            raise BadInput(
                f"Feature {self.name!r}: there is no kind {self.kind!r} in the catalogue.", "features"
            )
        if not isinstance(self.params, dict):
            raise BadInput(
                f"Feature {self.name!r}: params must be an object of names and numbers.", "features"
            )
        object.__setattr__(self, "params", CATALOGUE[self.kind].checked(self.params, self.name))

    @cached_property
    def plan(self) -> Plan:
        return CATALOGUE[self.kind].plan(**self.params)

    @property
    def needs_volume(self) -> bool:
        return any(map(series.needs_volume, self.plan.inputs))

    def __reduce__(self) -> tuple[Any, ...]:
        return FeatureSpec, (self.name, self.kind, self.params)  # a plan holds formulas, which do not pickle

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind, "params": self.params}


@dataclass(frozen=True)
class FeatureSet:
    """The columns of a feature matrix, in order.

    :raises BadInput: when it is empty or two columns share a name.
    """

    specs: tuple[FeatureSpec, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "specs", tuple(self.specs))
        if not self.specs:
            raise BadInput("A feature set needs at least one feature.", "features")
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise BadInput(f"Two features are named {twice[0]!r}; names must differ.", "features")

    def __len__(self) -> int:
        return len(self.specs)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.specs)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON, implementation version included."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def warmup(self) -> int:
        """Rows before the first valid row; rows before it are NaN in every column."""
        return max(spec.plan.lookback for spec in self.specs)

    @cached_property
    def memory(self) -> int:
        """Bars of history that give the last row of an infinite one to 1e-6 of each column's spread.

        It holds while the market moves: in a long run of flat bars, ratios such as the relative strength
        still depend on the last moves before it.
        """
        return max(spec.plan.memory for spec in self.specs)

    @cached_property
    def needs_volume(self) -> bool:
        return any(spec.needs_volume for spec in self.specs)

    def without_volume(self) -> "FeatureSet":
        """Return the set less the columns that need volume, for sources that report none."""
        return FeatureSet(tuple(spec for spec in self.specs if not spec.needs_volume))

    def to_json(self) -> dict[str, Any]:
        return {"implementation": IMPLEMENTATION, "features": [spec.to_json() for spec in self.specs]}

    @classmethod
    def from_json(cls, data: Any) -> "FeatureSet":
        """Return the set that `to_json` described.

        :raises BadInput: when it is malformed, unknown to the catalogue, or made by other feature code.
        """
        if not isinstance(data, dict) or not isinstance(data.get("features"), list):
            raise BadInput("A feature set must be an object with a list called 'features'.", "features")
        made_by = data.get("implementation", IMPLEMENTATION)
        if made_by != IMPLEMENTATION:
            raise BadInput(
                f"The feature set was made by version {made_by} of the feature code and this is version "
                f"{IMPLEMENTATION}: train the model again.",
                "features",
            )
        return cls(tuple(_spec(item) for item in data["features"]))


def _spec(item: Any) -> FeatureSpec:
    if not isinstance(item, dict) or not {"name", "kind"} <= set(item) <= {"name", "kind", "params"}:
        raise BadInput(
            f"Each feature needs 'name' and 'kind', and may have 'params'; got {item!r}.", "features"
        )
    return FeatureSpec(item["name"], item["kind"], item.get("params", {}))
