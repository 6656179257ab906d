"""The tables of this app. There is no way back: an alert is not taken back."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial"), ("ledger_admin", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.access.alerts", "0001_alert")),
        migrations.CreateModel(
            name="Alert",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "alert_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("alert_id", models.UUIDField()),
                ("raised_at", models.DateTimeField()),
                ("kind", models.TextField()),
                ("details", models.BinaryField()),
            ],
            options={
                "db_table": "access_alert",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "alert_id",
                        "receiver_id",
                        "recipient_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("alert_id", models.UUIDField()),
                ("receiver_id", models.UUIDField()),
                ("recipient_id", models.UUIDField()),
                ("state", models.TextField()),
                ("attempts", models.IntegerField()),
                ("due_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("outcome", models.TextField(null=True)),
            ],
            options={
                "db_table": "access_alert_delivery",
                "managed": False,
            },
        ),
    ]
