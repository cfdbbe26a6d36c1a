"""Addresses of the pages about data."""

from django.urls import path

from market import views

urlpatterns = [
    path("markets/", views.markets, name="markets"),
    path("markets/<int:pk>/", views.series, name="series"),
    path("markets/<int:pk>/candles/", views.series_candles, name="series-candles"),
    path("imports/<int:pk>/", views.import_report, name="import"),
    path("audit/", views.audit, name="audit"),
]
