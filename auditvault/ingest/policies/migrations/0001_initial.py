"""Payload policies by tenant and region."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.ingest.policies", "0001_policy")),
        migrations.CreateModel(
            name="StoredPolicy",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "version",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("version", models.IntegerField()),
                ("set_at", models.DateTimeField()),
                ("record_id", models.UUIDField()),
                ("document", models.BinaryField()),
            ],
            options={
                "db_table": "payload_policy",
                "managed": False,
            },
        ),
    ]
