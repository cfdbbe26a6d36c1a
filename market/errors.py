"""Errors a person caused or must act on: one clear sentence, shown as it is in pages, API and commands."""


class BadInput(Exception):
    """Input that cannot be used. `field` names the form or API field it belongs to.

    Pages show it beside the field (HTTP 422), the API answers a problem document (400), commands exit with 2.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class Conflict(BadInput):
    """The object's present state forbids the request (HTTP 409)."""
