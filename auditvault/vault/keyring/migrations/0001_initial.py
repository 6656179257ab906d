"""The tables of this app. There is no way back: a log is not un-made."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault.keyring", "0001_keyring")),
        migrations.CreateModel(
            name="RegionKey",
            fields=[
                ("epoch", models.IntegerField(primary_key=True, serialize=False)),
                ("key_id", models.UUIDField(unique=True)),
                ("wrapped", models.BinaryField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "keyring_region_key",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="SubjectKey",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "subject_id",
                        "data_class",
                        "version",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("subject_id", models.UUIDField()),
                ("data_class", models.TextField()),
                ("version", models.IntegerField()),
                ("key_id", models.UUIDField(unique=True)),
                ("epoch", models.IntegerField()),
                ("wrapped", models.BinaryField()),
                ("created_at", models.DateTimeField()),
                ("retired_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "keyring_subject_key",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="TagSecret",
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
                ("epoch", models.IntegerField()),
                ("key_id", models.UUIDField(unique=True)),
                ("wrapped", models.BinaryField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "keyring_tag_secret",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="TenantKey",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "epoch",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("epoch", models.IntegerField()),
                ("key_id", models.UUIDField(unique=True)),
                ("wrapped", models.BinaryField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "keyring_tenant_key",
                "managed": False,
            },
        ),
    ]
