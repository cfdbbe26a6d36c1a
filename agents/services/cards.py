"""Run cards: everything needed to train the same weights again, and the proof that they are the same."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson
from django.db import transaction

from agents import artefacts, provenance
from agents.evaluation.data import members_of, prepare, require_visible
from agents.models import TrainedModel, TrainingRun
from agents.resources import require_room
from agents.services.queue import enqueue_training
from agents.services.series import find_members
from agents.spec import TrainingSpec
from market.errors import BadInput
from market.models import Series
from market.web.audit import record

KIND = "tradebot run card"
NEEDED = ("spec", "data_fingerprint", "weights_hash")
MOST_BYTES = 8 * 2**20


def card_of(model: TrainedModel) -> dict[str, Any]:
    """Return a model's run card as JSON values. :raises BadInput: when its files are missing or changed"""
    return {"kind": KIND, **artefacts.card_of(model), "file_hash": model.file_hash}


def read_card(text: str | bytes) -> dict[str, Any]:
    """Return the card that a JSON text holds. :raises BadInput: when it is none"""
    if len(text) > MOST_BYTES:
        raise BadInput("the file is too large for a run card", "card")
    try:
        card = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the run card is no JSON: {error}", "card") from None
    return require_card(card)


def require_card(card: Any) -> dict[str, Any]:
    """Return a card that names what is needed. :raises BadInput: saying what is missing"""
    missing = [key for key in NEEDED if not (isinstance(card, Mapping) and card.get(key))]
    if missing:
        raise BadInput(f"this is no run card: it holds no {missing[0]}", "card")
    if not isinstance(card["spec"], Mapping) or not all(isinstance(card[key], str) for key in NEEDED[1:]):
        raise BadInput("this is no run card: spec must be an object, the hashes texts", "card")
    return dict(card)


def reproduce(
    *,
    owner: Any,
    model: TrainedModel | None = None,
    card: Mapping[str, Any] | None = None,
    series: int | None = None,
    by: Any = None,
) -> TrainingRun:
    """Train what a card says once more and compare the weights; the run leaves no model.

    :param model: whose card it is; or
    :param card: from a file; its candles are found by source, pair and interval, or are those of `series`
    :raises BadInput: for a card that cannot be read, or candles that are not those of the card
    """
    known = card_of(model) if model is not None else require_card(card)
    spec = TrainingSpec.stored(known["spec"])
    require_room(spec)
    if model is not None:
        members = members_of(spec.basket) if spec.basket else [model.series]
    else:
        members = _members(owner, spec, series)
    require_visible(owner, [one.pk for one in members])
    found = members[0]
    basket = tuple(one.pk for one in members) if spec.is_portfolio else ()
    spec = spec.completed(series=found.pk, source=found.source, basket=basket)
    prepared = prepare(found, spec)
    if prepared.fingerprint != known["data_fingerprint"]:
        raise BadInput(
            f"the candles of {found} in that stretch are not those of the card: other data, other weights",
            "card",
        )
    name = str(known.get("name") or "a card")[:100]
    with transaction.atomic():
        run = TrainingRun.objects.create(
            owner=owner, name=f"Reproduce {name}", spec=spec.as_dict(), series=found, reproduces=model,
            steps_total=spec.steps, data_fingerprint=prepared.fingerprint,
            code_version=provenance.code_version(), expected_hash=known["weights_hash"][:64],
            notes=[*provenance.differences(known), *_makers(known)],
            device=str(known.get("device") or "")[:120],  # to compare, once it is known where this one learns
        )  # fmt: skip
        record(by or owner, "training.reproduce", run, name=name, weights=known["weights_hash"][:64])
        transaction.on_commit(partial(enqueue_training, run.pk))
    return run


def _members(owner: Any, spec: TrainingSpec, series: int | None) -> list[Series]:
    """Return the series here that a card's pairs have."""
    if series is not None and spec.is_portfolio:
        raise BadInput(
            "the card is of several pairs, which one series cannot stand for: leave it out", "series"
        )
    source = None if series else spec.source
    return find_members(owner, spec.model_copy(update={"series": series, "source": source, "basket": ()}))


def _makers(card: Mapping[str, Any]) -> list[str]:
    """Return a sentence about a model that several versions trained one after another."""
    others = card.get("resumed_by")
    if not others:
        return []
    return [
        "The card's run was resumed by other versions than it began with: no one version trains it again."
    ]
