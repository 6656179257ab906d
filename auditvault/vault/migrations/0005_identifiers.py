"""Identifiers of any kind. There is no way back: a table of fewer kinds could not hold them."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("vault", "0004_subject_links")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault", "0005_identifiers")),
        migrations.AddField(
            model_name="identifier",
            name="normalisation",
            field=models.SmallIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.CreateModel(
            name="IdentifierKind",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "kind",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("kind", models.TextField()),
                ("normalisation", models.TextField()),
                ("phone_region", models.TextField(null=True)),
                ("record_id", models.UUIDField()),
                ("declared_at", models.DateTimeField()),
            ],
            options={
                "db_table": "vault_identifier_kind",
                "managed": False,
            },
        ),
    ]
