"""Addresses of the pages about trading."""

from django.urls import path, re_path

from trading.views import home, sessions, settings

urlpatterns = [
    path("", home.home, name="home"),
    path("stop-all/", home.stop_all, name="stop-all"),
    path("trades/", home.trades, name="trades"),
    path("alerts/", home.alerts, name="alerts"),
    path("alerts/<int:pk>/close/", home.alert_close, name="alert-close"),
    path("sessions/", sessions.sessions, name="sessions"),
    path("sessions/start/", sessions.session_start, name="session-start"),
    path("sessions/<int:pk>/", sessions.session, name="session"),
    path("sessions/<int:pk>/chart/", sessions.session_chart, name="session-chart"),
    path("sessions/<int:pk>/stream", sessions.session_stream, name="session-stream"),
    path("sessions/<int:pk>/decisions/", sessions.decisions, name="session-decisions"),
    re_path(
        r"^sessions/(?P<pk>\d+)/(?P<act>pause|resume|stop|flatten|unhalt)/$",
        sessions.session_act,
        name="session-act",
    ),
    path("decisions/<int:pk>/", sessions.decision, name="decision"),
    path("settings/", settings.settings, name="settings"),
    path("settings/tokens/", settings.token_create, name="token-create"),
    path("settings/tokens/<str:key>/revoke/", settings.token_revoke, name="token-revoke"),
    path("accounts/<int:pk>/", settings.account, name="account"),
    path("accounts/<int:pk>/check/", settings.account_check, name="account-check"),
    path("accounts/<int:pk>/switch/", settings.account_active, name="account-switch"),
    path("risk/", settings.risk, name="risk"),
    path("risk/<int:pk>/", settings.risk, name="risk-edit"),
]
