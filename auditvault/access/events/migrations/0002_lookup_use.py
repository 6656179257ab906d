"""How many lookups were made."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("access_events", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.access.events", "0002_lookup_use")),
        migrations.CreateModel(
            name="LookupUse",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "caller",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("caller", models.TextField()),
                ("window_at", models.DateTimeField()),
                ("used", models.IntegerField()),
                ("is_refused", models.BooleanField()),
            ],
            options={
                "db_table": "lookup_use",
                "managed": False,
            },
        ),
    ]
