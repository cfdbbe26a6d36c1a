from django.apps import AppConfig
from django.db.models.signals import post_migrate


class MarketConfig(AppConfig):
    name = "market"

    def ready(self) -> None:
        from market.web.roles import create_groups  # needs the models that are being loaded

        post_migrate.connect(create_groups, sender=self)
