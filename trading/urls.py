"""Addresses of the pages about trading."""

from django.urls import path, re_path

from trading.views import alerts, home, plans, risk, sessions, settings

urlpatterns = [
    path("", home.home, name="home"),
    path("stop-all/", home.stop_all, name="stop-all"),
    path("trades/", home.trades, name="trades"),
    path("alerts/", alerts.alerts, name="alerts"),
    path("alerts/<int:pk>/close/", alerts.alert_close, name="alert-close"),
    path("alerts/<int:pk>/acknowledge/", alerts.alert_acknowledge, name="alert-acknowledge"),
    path("alerts/deliveries/", alerts.deliveries, name="deliveries"),
    path("alerts/channels/", alerts.channels, name="channels"),
    path("alerts/channels/<int:pk>/", alerts.channel, name="channel"),
    re_path(
        r"^alerts/channels/(?P<pk>\d+)/(?P<act>test|switch|delete)/$", alerts.channel_act, name="channel-act"
    ),
    path("alerts/rules/", alerts.rule, name="rule"),
    path("alerts/rules/<int:pk>/", alerts.rule, name="rule-edit"),
    path("alerts/rules/<int:pk>/delete/", alerts.rule_delete, name="rule-delete"),
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
    path("accounts/<int:pk>/foreign/", settings.account_foreign, name="account-foreign"),
    path("accounts/<int:pk>/poll/", settings.account_poll, name="account-poll"),
    path("accounts/<int:pk>/switch/", settings.account_active, name="account-switch"),
    path("plans/", plans.plans, name="plans"),
    path("plans/<int:pk>/", plans.plan, name="plan"),
    path("plans/<int:pk>/chart/", plans.plan_chart, name="plan-chart"),
    path("plans/<int:pk>/stop/", plans.plan_stop, name="plan-stop"),
    re_path(r"^plans/(?P<pk>\d+)/(?P<act>pause|resume)/$", plans.plan_act, name="plan-act"),
    path("risk/overview/", risk.overview, name="risk-overview"),
    path("risk/caps/", risk.cap_set, name="cap-set"),
    path("risk/caps/<int:pk>/lift/", risk.cap_lift, name="cap-lift"),
    re_path(r"^orders/(?P<pk>\d+)/(?P<act>approve|reject)/$", risk.order_decide, name="order-decide"),
    path("orders/<int:pk>/end/", risk.order_end, name="order-end"),
    path("approve/<str:token>/", risk.approval_link, name="approval-link"),
    path("risk/", settings.risk, name="risk"),
    path("risk/<int:pk>/", settings.risk, name="risk-edit"),
]
