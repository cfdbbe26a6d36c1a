"""Pages about data: series, their gaps, imports; and the audit trail."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET

from market import selectors, services
from market.forms import ImportForm
from market.models import AuditEvent, ImportReport, Series
from market.web.fields import MomentField
from market.web.ownership import visible
from market.web.pages import attempt, page_of, unbound_or_posted
from market.web.roles import Role, page

CHART_POINTS = 260
GAPS_SHOWN = 100


@page(Role.OPERATOR)
def markets(request: HttpRequest) -> HttpResponse:
    form = unbound_or_posted(request, ImportForm)
    if request.method == "POST":
        report = attempt(form, services.queue_import, owner=request.user)
        if report is not None:
            messages.success(request, f"{report.file_name} is being imported.")
            return redirect("import", report.pk)
    context = {
        "series": page_of(
            request, selectors.series_list(request.user).order_by("pair", "interval_ms", "source")
        ),
        "imports": visible(ImportReport, request.user).select_related("series")[:10],
        "form": form,
    }
    return render(request, "market/markets.html", context, status=422 if form.errors else 200)


@require_GET
@page()
def series(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(selectors.series_list(request.user), pk=pk)
    context = {
        "series": found,
        "coin": found.pair.partition("/")[0],
        "gaps": found.gaps.order_by("-missing")[:GAPS_SHOWN],
        "partitions": found.partitions.all(),
        "reports": found.imports.all()[:5],
    }
    return render(request, "market/series.html", context)


@require_GET
@page()
def series_candles(request: HttpRequest, pk: int) -> JsonResponse:
    """Answer the chart's data: candles between ?from and ?to, thinned."""
    found = get_object_or_404(visible(Series, request.user), pk=pk)
    moment = MomentField(required=False)
    try:
        since, until = (moment.clean(request.GET.get(name)) for name in ("from", "to"))
    except ValidationError as error:
        return JsonResponse({"detail": error.message}, status=400)
    return JsonResponse(selectors.downsampled(found, since, until, CHART_POINTS))


@require_GET
@page()
def import_report(request: HttpRequest, pk: int) -> HttpResponse:
    report = get_object_or_404(visible(ImportReport, request.user).select_related("series"), pk=pk)
    is_partial = request.headers.get("HX-Request") == "true"
    template = "market/_import.html" if is_partial else "market/import.html"
    return render(request, template, {"report": report, "is_open": report.status in ("queued", "running")})


@require_GET
@page()
def audit(request: HttpRequest) -> HttpResponse:
    events = visible(AuditEvent, request.user).select_related("actor")
    action = request.GET.get("action", "")
    if action:
        events = events.filter(action__startswith=action)
    return render(request, "market/audit.html", {"page": page_of(request, events, 100), "action": action})
