"""All addresses of the site."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.routers import SimpleRouter

from agents import api as agents_api
from agents import council_api, runs_api, settings_api
from market import api as market_api
from market.web.problems import unknown_address
from trading.api import accounts, alerts, health, plans, risk, sessions

router = SimpleRouter()
router.register("series", market_api.SeriesViewSet, "series")
router.register("candles", market_api.CandleViewSet, "candles")
router.register("ticks", market_api.TickViewSet, "ticks")
router.register("pairs", market_api.PairViewSet, "pairs")
router.register("imports", market_api.ImportViewSet, "imports")
router.register("models", agents_api.ModelViewSet, "models")
router.register("training-runs", agents_api.RunViewSet, "training-runs")
router.register("training-presets", agents_api.PresetViewSet, "training-presets")
router.register("training-settings", settings_api.SettingViewSet, "training-settings")
router.register("experiments", runs_api.ExperimentViewSet, "experiments")
router.register("backtests", agents_api.BacktestViewSet, "backtests")
router.register("council", council_api.CouncilViewSet, "council")
router.register("council-reviews", council_api.ReviewViewSet, "council-reviews")
router.register("accounts", accounts.AccountViewSet, "accounts")
router.register("sessions", sessions.SessionViewSet, "sessions")
router.register("risk-profiles", accounts.RiskViewSet, "risk-profiles")
router.register("plans", plans.PlanViewSet, "plans")
router.register("exposure-caps", risk.CapViewSet, "exposure-caps")
router.register("approvals", risk.ApprovalViewSet, "approvals")
router.register("stuck-orders", risk.StuckViewSet, "stuck-orders")
router.register("alerts", alerts.AlertViewSet, "alerts")
router.register("alert-channels", alerts.ChannelViewSet, "alert-channels")
router.register("alert-rules", alerts.RuleViewSet, "alert-rules")
router.register("alert-deliveries", alerts.DeliveryViewSet, "alert-deliveries")
router.register("audit", market_api.AuditViewSet, "audit")

api = [
    *router.urls,
    path("health/", health.HealthView.as_view(), name="health"),
    path("metrics/", health.MetricsView.as_view(), name="metrics"),
]
urlpatterns = [
    path("favicon.ico", RedirectView.as_view(url=static("img/favicon.ico"))),
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("api/v1/", include((api, "api"))),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    re_path(r"^api/", unknown_address),
    path("", include("trading.urls")),
    path("", include("agents.urls")),
    path("", include("market.urls")),
]
handler500 = "market.web.problems.failed"
