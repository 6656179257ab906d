"""The table of this app. There is no way back: counts that are taken away would let what they bound go on."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.access.windows", "0001_window")),
        migrations.CreateModel(
            name="AccessWindow",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "caller",
                        "what",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("caller", models.TextField()),
                ("what", models.TextField()),
                ("window_at", models.DateTimeField()),
                ("used", models.IntegerField()),
                ("before_at", models.DateTimeField(null=True)),
                ("before_used", models.IntegerField(null=True)),
            ],
            options={
                "db_table": "access_window",
                "managed": False,
            },
        ),
    ]
