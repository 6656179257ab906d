"""The tables of this app. There is no way back: a log is not un-made."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.traces", "0001_header")),
        migrations.CreateModel(
            name="Header",
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
                ("trace_id", models.BinaryField()),
                ("span_id", models.BinaryField()),
                ("parent_span_id", models.BinaryField(null=True)),
                ("revision", models.IntegerField()),
                ("started_at", models.DateTimeField()),
                ("duration_ns", models.BigIntegerField(null=True)),
                ("operation", models.TextField()),
                ("status", models.TextField()),
                ("name", models.TextField(null=True)),
                ("provider", models.TextField(null=True)),
                ("model", models.TextField(null=True)),
                ("input_tokens", models.BigIntegerField(null=True)),
                ("output_tokens", models.BigIntegerField(null=True)),
                ("service", models.TextField(null=True)),
                ("environment", models.TextField(null=True)),
                ("feature", models.TextField(null=True)),
                ("error_type", models.TextField(null=True)),
                ("opening", models.BinaryField()),
                ("header", models.BinaryField()),
            ],
            options={
                "db_table": "traces_header",
                "managed": False,
            },
        ),
    ]
