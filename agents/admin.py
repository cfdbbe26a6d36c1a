"""Admin of learning: training is started and models are promoted here too."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from agents import services
from agents.forms import CouncilForm, ExperimentForm, OpenTestForm, ReviewForm, TrainingForm
from agents.models import (
    Backtest,
    Council,
    CouncilMember,
    CouncilReview,
    Experiment,
    ResourceSample,
    TestOpening,
    TrainedModel,
    TrainingMetric,
    TrainingRun,
    TrainingValidation,
)
from agents.settings_form import whole
from agents.spec.settings import settings
from market.web.admin import OwnedAdmin, ServiceAdmin, ServiceForm, confirmed

WIDGETS = {
    "name": UnfoldAdminTextInputWidget,
    "series": UnfoldAdminSelectWidget,
    "others": UnfoldAdminSelectMultipleWidget,
    "preset": UnfoldAdminSelectWidget,
    "algorithm": UnfoldAdminSelectWidget,
    "steps": UnfoldAdminIntegerFieldWidget,
    "seed": UnfoldAdminIntegerFieldWidget,
    "since": UnfoldAdminTextInputWidget,
    "until": UnfoldAdminTextInputWidget,
    "overrides": UnfoldAdminTextareaWidget,
    "seeds": UnfoldAdminTextInputWidget,
    "windows": UnfoldAdminIntegerFieldWidget,
    "grid": UnfoldAdminTextareaWidget,
    "members": UnfoldAdminSelectMultipleWidget,
    "method": UnfoldAdminSelectWidget,
    "combine": UnfoldAdminSelectWidget,
    "quorum": UnfoldAdminIntegerFieldWidget,
    "weights": UnfoldAdminTextareaWidget,
    "council": UnfoldAdminSelectWidget,
    "from_ms": UnfoldAdminTextInputWidget,
    "to_ms": UnfoldAdminTextInputWidget,
}


KEPT = ("title", "min", "max", "step")  # of what a field says about itself in the page


def dress(form: forms.BaseForm) -> None:
    """Give the fields of a form of the pages the admin's clothes."""
    for name, field in form.fields.items():
        choices = getattr(field, "choices", None)
        kept = {key: value for key, value in field.widget.attrs.items() if key in KEPT}
        field.widget = WIDGETS.get(name, _widget(field))(kept)
        if choices is not None:
            field.widget.choices = choices


def _widget(field: forms.Field) -> Any:
    """Return the clothes of a field by its kind, where its name has none."""
    if isinstance(field, forms.FloatField):
        return UnfoldAdminDecimalFieldWidget
    if isinstance(field, forms.IntegerField):
        return UnfoldAdminIntegerFieldWidget
    return UnfoldAdminSelectWidget if isinstance(field, forms.ChoiceField) else UnfoldAdminTextInputWidget


def grouped(form: Any) -> list[tuple[str | None, dict[str, Any]]]:
    """Return the admin's fieldsets of a form with settings: the basics, then a closed one per group."""
    rows: dict[str | None, list[str]] = {None: []}
    for name in form.base_fields:
        rows.setdefault(settings()[name].group if name in settings() else None, []).append(name)
    return [
        (title, {"fields": fields, "classes": ("collapse",) if title else ()})
        for title, fields in rows.items()
    ]


@whole
class RunForm(TrainingForm, ServiceForm):
    """The training form of the pages, in the admin's clothes."""

    class Meta:
        model = TrainingRun
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, user=self.request.user, **kwargs)
        dress(self)

    def act(self, user: Any, given: dict[str, Any]) -> TrainingRun:
        return services.start_training(owner=user, name=given["name"], spec=self.spec(), by=user)


class SettingsAdmin(ServiceAdmin):
    """Starts something whose form holds the settings of a spec."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_fieldsets(request, obj) if obj is not None else grouped(self.add_form)


@admin.register(TrainingRun)
class RunAdmin(SettingsAdmin):
    add_form = RunForm
    list_display = (
        "name",
        "status",
        "steps_done",
        "steps_total",
        "fps",
        "eta_s",
        "device",
        "series",
        "owner",
        "created_at",
    )
    list_filter = ("status", "series")
    search_fields = ("name",)
    list_select_related = ("series", "owner")
    actions = ("cancel", "resume")

    @confirmed("Cancel", "These runs stop at their next step and keep their checkpoint.", done="cancelling")
    def cancel(self, request: HttpRequest, run: TrainingRun) -> None:
        services.cancel_training(run=run, by=request.user)

    @confirmed("Resume", "These runs go on from their checkpoint.", done="resumed")
    def resume(self, request: HttpRequest, run: TrainingRun) -> None:
        services.resume_training(run=run, by=request.user)


@admin.register(TrainedModel)
class TrainedModelAdmin(OwnedAdmin):
    list_display = ("name", "status", "algorithm", "series", "validation_sharpe", "owner", "created_at")
    list_filter = ("status", "algorithm", "series")
    search_fields = ("name",)
    list_select_related = ("series", "owner")
    actions = ("promote", "archive", "reproduce")

    @confirmed("Reproduce", "These models are trained once more and the weights compared.", done="queued")
    def reproduce(self, request: HttpRequest, model: TrainedModel) -> None:
        services.reproduce(owner=request.user, model=model, by=request.user)

    @admin.display(description="validation Sharpe")
    def validation_sharpe(self, model: TrainedModel) -> str:
        value = model.metrics.get("sharpe")
        return "-" if value is None else f"{value:.2f}"

    @confirmed("Promote", "A person (you) chooses these models for live trading.", done="promoted")
    def promote(self, request: HttpRequest, model: TrainedModel) -> None:
        services.promote(model=model, by=request.user)

    @confirmed("Archive", "These models leave the lists; sessions that use them go on.", done="archived")
    def archive(self, request: HttpRequest, model: TrainedModel) -> None:
        services.archive_model(model=model, by=request.user)


class NewOpening(OpenTestForm, ServiceForm):
    """Opens a sealed test part; the reason is asked for as on the model's page."""

    class Meta:
        model = TestOpening
        fields = ("model", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = TrainedModel.objects.visible_to(self.request.user).exclude(test_from_ms=None)
        self.fields["model"].queryset = models  # type: ignore[attr-defined]
        self.fields["reason"].widget = UnfoldAdminTextInputWidget()

    def act(self, user: Any, given: dict[str, Any]) -> TestOpening:
        return services.open_test(model=given["model"], reason=given["reason"], by=user)


@admin.register(TestOpening)
class OpeningAdmin(ServiceAdmin):
    add_form = NewOpening
    list_display = ("model", "opened_by", "reason", "opened_at")
    list_select_related = ("model", "opened_by")


@admin.register(Backtest)
class BacktestAdmin(OwnedAdmin):
    list_display = ("policy", "status", "series", "total_return", "owner", "created_at")
    list_filter = ("status", "series", "baseline")
    list_select_related = ("series", "owner", "model", "council")
    exclude = ("curve", "trades")
    actions = ("cancel",)

    @confirmed("Cancel", "These backtests stop; what they have computed is dropped.", done="cancelled")
    def cancel(self, request: HttpRequest, backtest: Backtest) -> None:
        services.cancel_computation(backtest, by=request.user)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).defer("curve", "trades")

    @admin.display(description="of")
    def policy(self, backtest: Backtest) -> str:
        return backtest.policy_name

    @admin.display(description="return")
    def total_return(self, backtest: Backtest) -> str:
        value = backtest.metrics.get("total_return")
        return "-" if value is None else f"{value:+.2%}"


@whole
class NewExperiment(ExperimentForm, ServiceForm):
    """The experiment form of the pages, in the admin's clothes."""

    class Meta:
        model = Experiment
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, user=self.request.user, **kwargs)
        dress(self)

    def act(self, user: Any, given: dict[str, Any]) -> Experiment:
        return services.start_experiment(
            owner=user, name=given["name"], spec=self.spec(), by=user, **self.plan()
        )


@admin.register(Experiment)
class ExperimentAdmin(SettingsAdmin):
    add_form = NewExperiment
    list_display = ("name", "series", "windows", "owner", "created_at")
    list_select_related = ("series", "owner")
    search_fields = ("name",)
    actions = ("cancel",)

    @confirmed("Cancel", "All runs of these experiments stop at their next step.", done="cancelling")
    def cancel(self, request: HttpRequest, experiment: Experiment) -> None:
        services.cancel_experiment(experiment, by=request.user)


@admin.register(TrainingValidation)
class ValidationAdmin(OwnedAdmin):
    owner_path = "run__owner"
    list_display = ("run", "step")
    list_select_related = ("run",)


@admin.register(ResourceSample)
class SampleAdmin(OwnedAdmin):
    owner_path = "run__owner"
    list_display = ("run", "at")
    list_select_related = ("run",)


@admin.register(TrainingMetric)
class MetricAdmin(OwnedAdmin):
    owner_path = "run__owner"
    list_display = ("run", "step", "at")
    list_select_related = ("run",)


class NewCouncil(CouncilForm, ServiceForm):
    """The council form of the pages, in the admin's clothes."""

    class Meta:
        model = Council
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, user=self.request.user, **kwargs)
        dress(self)

    def act(self, user: Any, given: dict[str, Any]) -> Council:
        seats = self.seats()
        given = {name: given[name] for name in ("name", "method", "combine", "quorum")}
        return services.create_council(owner=user, members=seats, by=user, **given)


@admin.register(Council)
class CouncilAdmin(ServiceAdmin):
    add_form = NewCouncil
    list_display = ("name", "method", "combine", "quorum", "is_archived", "owner", "created_at")
    list_filter = ("method", "is_archived")
    search_fields = ("name",)
    list_select_related = ("owner",)
    actions = ("archive",)

    @confirmed("Archive", "These councils leave the lists; sessions that use them go on.", done="archived")
    def archive(self, request: HttpRequest, council: Council) -> None:
        services.archive_council(council, by=request.user)


@admin.register(CouncilMember)
class MemberAdmin(OwnedAdmin):
    owner_path = "council__owner"
    list_display = ("name", "council", "model", "baseline", "weight")
    list_select_related = ("council", "model")


class NewReview(ReviewForm, ServiceForm):
    """The review form of the pages, in the admin's clothes."""

    class Meta:
        model = CouncilReview
        fields = ("council", "series")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, user=self.request.user, **kwargs)
        dress(self)

    def act(self, user: Any, given: dict[str, Any]) -> CouncilReview:
        return services.start_review(owner=user, by=user, **given)


@admin.register(CouncilReview)
class ReviewAdmin(ServiceAdmin):
    add_form = NewReview
    list_display = ("council", "status", "share_done", "series", "owner", "created_at")
    list_filter = ("status", "series")
    list_select_related = ("council", "series", "owner")
    exclude = ("curve",)
    actions = ("cancel",)

    @confirmed("Cancel", "These reviews stop; what they have computed is dropped.", done="cancelled")
    def cancel(self, request: HttpRequest, review: CouncilReview) -> None:
        services.cancel_computation(review, by=request.user)
