"""A maximum leverage above 1 allowed nothing more than 1 does: sessions trade without leverage."""

from django.db import migrations


def cut(apps, schema_editor):
    apps.get_model("trading", "RiskProfile").objects.filter(max_leverage__gt=1).update(max_leverage=1)


class Migration(migrations.Migration):
    dependencies = [("trading", "0017_stream_state")]

    operations = [migrations.RunPython(cut, migrations.RunPython.noop)]
