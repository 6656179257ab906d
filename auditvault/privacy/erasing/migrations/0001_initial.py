"""The tables of this app. There is no way back: what was certified stays certified."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("privacy_holds", "0001_initial"),
        ("privacy_requests", "0003_regions"),
        ("vault_erasures", "0002_counts"),
    ]

    operations = [
        migrations.RunSQL(load_sql("auditvault.privacy.erasing", "0001_erasing")),
        migrations.CreateModel(
            name="Manifest",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "request_id",
                        "digest",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("request_id", models.UUIDField()),
                ("digest", models.BinaryField()),
                ("body", models.BinaryField()),
                ("frozen_at", models.DateTimeField()),
            ],
            options={"db_table": "privacy_manifest", "managed": False},
        ),
        migrations.CreateModel(
            name="Listing",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "listing_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("listing_id", models.UUIDField()),
                ("request_id", models.UUIDField()),
                ("home", models.TextField()),
                ("made_at", models.DateTimeField()),
            ],
            options={"db_table": "privacy_listing", "managed": False},
        ),
        migrations.CreateModel(
            name="ListingObject",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "listing_id",
                        "object_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("listing_id", models.UUIDField()),
                ("object_id", models.UUIDField()),
                ("tag", models.BinaryField()),
            ],
            options={"db_table": "privacy_listing_object", "managed": False},
        ),
        migrations.CreateModel(
            name="Part",
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
                ("state", models.TextField()),
                ("code", models.TextField(null=True)),
                ("holds", ArrayField(base_field=models.UUIDField())),
                ("tries", models.IntegerField()),
                ("next_try_at", models.DateTimeField()),
                ("ordered_at", models.DateTimeField()),
                ("destroyed", models.BigIntegerField(null=True)),
                ("keys", models.BigIntegerField(null=True)),
                ("idxs", ArrayField(base_field=models.BigIntegerField())),
                ("hashes", ArrayField(base_field=models.BinaryField())),
                ("done_at", models.DateTimeField(null=True)),
                ("checked", models.BigIntegerField(null=True)),
                ("remaining", models.BigIntegerField(null=True)),
                ("opened", models.BigIntegerField(null=True)),
                ("arrived", models.BigIntegerField(null=True)),
                ("verified_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "privacy_part", "managed": False},
        ),
        migrations.CreateModel(
            name="Certificate",
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
                ("certificate_id", models.UUIDField()),
                ("body", models.BinaryField()),
                ("issued_at", models.DateTimeField()),
            ],
            options={"db_table": "privacy_certificate", "managed": False},
        ),
    ]
