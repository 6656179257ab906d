"""The tables of this app. There is no way back: limits are recorded in logs."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial"), ("vault", "0004_subject_links")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.access.usage", "0001_usage")),
        migrations.CreateModel(
            name="LookCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "who",
                        "day",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("who", models.TextField()),
                ("day", models.DateField()),
                ("looks", models.IntegerField()),
                ("misses", models.IntegerField()),
                ("is_refused", models.BooleanField()),
                ("miss_window_at", models.DateTimeField(null=True)),
                ("window_misses", models.IntegerField()),
            ],
            options={
                "db_table": "look_count",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="LookSubject",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "who",
                        "day",
                        "subject_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("who", models.TextField()),
                ("day", models.DateField()),
                ("subject_id", models.UUIDField()),
            ],
            options={
                "db_table": "look_subject",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="LookAlerted",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "who",
                        "kind",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("who", models.TextField()),
                ("kind", models.TextField()),
                ("window_at", models.DateTimeField()),
            ],
            options={
                "db_table": "look_alerted",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="LookLimit",
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
                ("subjects_per_day", models.IntegerField()),
            ],
            options={
                "db_table": "look_limit",
                "managed": False,
            },
        ),
    ]
