from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('agents', '0006_run_device'),
    ]

    operations = [
        migrations.AddField(
            model_name='trainedmodel',
            name='judged_fingerprint',
            field=models.CharField(default='', max_length=64),
        ),
    ]
