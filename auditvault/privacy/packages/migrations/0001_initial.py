"""Copies of a person's data. There is no way back: what was given out is recorded in logs."""

import django.contrib.postgres.fields
from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("privacy_requests", "0006_ruling")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.privacy.packages", "0001_package")),
        migrations.CreateModel(
            name="PackageOrder",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "request_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("request_id", models.UUIDField()),
                ("certificate", models.BinaryField()),
                ("locked_key", models.BinaryField(null=True)),
                ("ordered_by", models.UUIDField()),
                ("ordered_at", models.DateTimeField()),
            ],
            options={"db_table": "privacy_package_order", "managed": False},
        ),
        migrations.CreateModel(
            name="Package",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "request_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("request_id", models.UUIDField()),
                ("home", models.TextField()),
                ("manifest", models.BinaryField()),
                ("ordered_by", models.UUIDField()),
                ("locked_key", models.BinaryField(null=True)),
                (
                    "subject_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), size=None
                    ),
                ),
                ("state", models.TextField()),
                ("code", models.TextField(null=True)),
                ("tries", models.IntegerField()),
                ("next_try_at", models.DateTimeField()),
                ("contents", models.BigIntegerField(null=True)),
                ("body", models.BinaryField(null=True)),
                ("digest", models.BinaryField(null=True)),
                ("made_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("delivered_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "privacy_package", "managed": False},
        ),
        migrations.CreateModel(
            name="PackageLink",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "link_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("link_id", models.UUIDField()),
                ("request_id", models.UUIDField()),
                ("secret_hash", models.BinaryField()),
                ("made_by", models.UUIDField()),
                ("made_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "privacy_package_link", "managed": False},
        ),
    ]
