"""A page with the settings of a training spec: filled by a preset, looked at as a file, started."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from agents.forms import TrainingForm
from agents.spec import TrainingSpec, horizon_notes, written
from market.web.pages import attempt, unbound_or_posted

PART = "agents/_settings_form.html"


@dataclass(frozen=True, slots=True)
class SettingsPage:
    template: str
    start: str  # what the button says
    links: list[tuple[str, str]]  # beside it: text, address

    def answer(
        self,
        request: HttpRequest,
        kind: type[TrainingForm],
        start: Callable[[Any], HttpResponse],
    ) -> HttpResponse:
        """Answer one request: `show` fills the fields anew, `preview` shows the spec, else it is started."""
        if request.method == "POST" and "show" in request.POST:
            initial = request.POST.dict() | {"others": request.POST.getlist("others")}
            return self._page(request, kind(initial=initial, user=request.user))
        form = unbound_or_posted(request, kind, user=request.user)
        if request.method != "POST":
            return self._page(request, form)
        if "preview" in request.POST:
            form.fields["name"].required = False  # nothing is started that would need one
            spec = attempt(form, lambda **_: TrainingSpec.parse(form.spec()))
            return self._page(request, form, spec)
        return attempt(form, lambda **_: start(form)) or self._page(request, form)

    def _page(self, request: HttpRequest, form: Any, spec: TrainingSpec | None = None) -> HttpResponse:
        is_part = request.headers.get("HX-Request") == "true"
        context = {"form": form, "start": self.start, "links": self.links}
        if spec is not None:
            context |= {"preview": written(spec.as_dict()), "notes": horizon_notes(spec)}
        status = 422 if form.errors and not is_part else 200  # htmx shows only what went well
        return render(request, PART if is_part else self.template, context, status=status)
