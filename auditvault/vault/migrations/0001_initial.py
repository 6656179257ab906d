"""The tables of this app. There is no way back: a log is not un-made."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault", "0001_vault")),
        migrations.CreateModel(
            name="Identifier",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "kind",
                        "tag",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("kind", models.TextField()),
                ("tag", models.BinaryField()),
                ("subject_id", models.UUIDField()),
                ("object_id", models.UUIDField(null=True)),
                ("key_id", models.UUIDField(null=True)),
                ("wrapped_cek", models.BinaryField(null=True)),
                ("envelope", models.BinaryField(null=True)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "vault_identifier",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Subject",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "subject_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("subject_id", models.UUIDField()),
                ("kind", models.TextField()),
                ("state", models.TextField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "vault_subject",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="TagAlias",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "tag",
                        "object_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("tag", models.BinaryField()),
                ("object_id", models.UUIDField()),
            ],
            options={
                "db_table": "vault_tag_alias",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="VaultObject",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "object_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("object_id", models.UUIDField()),
                ("record_id", models.UUIDField()),
                ("subject_id", models.UUIDField()),
                ("key_id", models.UUIDField()),
                ("data_class", models.TextField()),
                ("role", models.TextField()),
                ("version", models.IntegerField()),
                ("tag", models.BinaryField()),
                ("wrapped_cek", models.BinaryField()),
                ("envelope", models.BinaryField()),
            ],
            options={
                "db_table": "vault_object",
                "managed": False,
            },
        ),
    ]
