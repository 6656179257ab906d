"""The tables of this app. There is no way back: a log is not un-made."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.ledger.admin", "0001_event")),
        migrations.CreateModel(
            name="AdminEvent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "record_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("record_id", models.UUIDField()),
                ("recorded_at", models.DateTimeField()),
                ("action", models.TextField()),
                ("opening", models.BinaryField()),
                ("header", models.BinaryField()),
            ],
            options={
                "db_table": "admin_event",
                "managed": False,
            },
        ),
    ]
