"""Addresses of the pages about learning."""

from django.urls import path, re_path

from agents import council_views, experiment_views, run_views, views

urlpatterns = [
    path("training/", views.runs, name="runs"),
    path("training/start/", views.run_start, name="run-start"),
    path("training/start/file/", views.run_from_file, name="run-from-file"),
    path("training/reproduce/", run_views.card_reproduce, name="card-reproduce"),
    path("training/compare/", run_views.compare, name="compare"),
    path("training/compare/curves/", run_views.compare_curves, name="compare-curves"),
    path("training/<int:pk>/", views.run, name="run"),
    path("training/<int:pk>/insight/", run_views.run_insight, name="run-insight"),
    path("training/<int:pk>/log/", run_views.run_log, name="run-log"),
    path("training/<int:pk>/spec/", views.run_spec, name="run-spec"),
    path("training/<int:pk>/curves/", views.run_curves, name="run-curves"),
    path("training/<int:pk>/stream/", views.run_stream, name="run-stream"),
    re_path(r"^training/(?P<pk>\d+)/(?P<act>cancel|resume)/$", views.run_act, name="run-act"),
    path("experiments/", experiment_views.experiments, name="experiments"),
    path("experiments/start/", experiment_views.experiment_start, name="experiment-start"),
    path("experiments/<int:pk>/", experiment_views.experiment, name="experiment"),
    path("experiments/<int:pk>/cancel/", experiment_views.experiment_cancel, name="experiment-cancel"),
    path("models/<int:pk>/card/", run_views.model_card, name="model-card"),
    path("models/<int:pk>/reproduce/", run_views.model_reproduce, name="model-reproduce"),
    path("models/", views.models, name="models"),
    path("models/<int:pk>/", views.model, name="model"),
    path("models/<int:pk>/promote/", views.model_promote, name="model-promote"),
    path("models/<int:pk>/open-test/", views.model_open_test, name="model-open-test"),
    path("backtests/", views.backtests, name="backtests"),
    path("backtests/start/", views.backtest_start, name="backtest-start"),
    path("backtests/<int:pk>/", views.backtest, name="backtest"),
    path("backtests/<int:pk>/cancel/", views.backtest_cancel, name="backtest-cancel"),
    path("backtests/<int:pk>/curve/", views.backtest_curve, name="backtest-curve"),
    path("councils/", council_views.councils, name="councils"),
    path("councils/create/", council_views.council_create, name="council-create"),
    path("councils/<int:pk>/", council_views.council, name="council"),
    path("councils/<int:pk>/archive/", council_views.council_archive, name="council-archive"),
    path("councils/reviews/start/", council_views.review_start, name="review-start"),
    path("councils/reviews/<int:pk>/", council_views.review, name="council-review"),
    path("councils/reviews/<int:pk>/cancel/", council_views.review_cancel, name="review-cancel"),
    path("councils/reviews/<int:pk>/curve/", council_views.review_curve, name="council-review-curve"),
]
