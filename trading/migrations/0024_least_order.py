from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0023_capital_of_equity_points"),
    ]

    operations = [
        migrations.AddField(
            model_name="livesession",
            name="least_order",
            field=models.DecimalField(decimal_places=12, default=0, max_digits=28),
        ),
    ]
