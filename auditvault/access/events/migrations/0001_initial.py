"""The tables of this app. There is no way back: a log is not un-made."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.access.events", "0001_event")),
        migrations.CreateModel(
            name="AccessEvent",
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
                ("outcome", models.TextField()),
                ("actor", models.TextField()),
                ("actor_role", models.TextField(null=True)),
                ("purpose_code", models.TextField(null=True)),
                ("case_ref", models.TextField(null=True)),
                ("opening", models.BinaryField()),
                ("header", models.BinaryField()),
            ],
            options={
                "db_table": "access_event",
                "managed": False,
            },
        ),
    ]
