"""The tables of this app, and what refuses in the vault. There is no way back: a hold is not un-made."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("vault", "0006_rotation"),
        ("vault_erasures", "0001_initial"),
        ("traces", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(load_sql("auditvault.privacy.holds", "0001_hold")),
        migrations.CreateModel(
            name="LegalHold",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "hold_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("hold_id", models.UUIDField()),
                ("kind", models.TextField()),
                ("scope", models.BinaryField()),
                ("scope_digest", models.BinaryField()),
                ("cases", ArrayField(base_field=models.TextField(), null=True, size=None)),
                ("first_record", models.UUIDField(null=True)),
                ("end_record", models.UUIDField(null=True)),
                ("reference", models.TextField()),
                ("placed_by", models.UUIDField()),
                ("custodian", models.UUIDField()),
                ("review_on", models.DateField()),
                ("reason_object", models.UUIDField()),
                ("placed_at", models.DateTimeField()),
                ("released_at", models.DateTimeField(null=True)),
                ("released_by", models.UUIDField(null=True)),
            ],
            options={"db_table": "legal_hold", "managed": False},
        ),
        migrations.CreateModel(
            name="LegalHoldMember",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "hold_id",
                        "member",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("hold_id", models.UUIDField()),
                ("member", models.UUIDField()),
            ],
            options={"db_table": "legal_hold_member", "managed": False},
        ),
        migrations.CreateModel(
            name="LegalCaseRecord",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "record_id",
                        "case_ref",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("case_ref", models.TextField()),
                ("record_id", models.UUIDField()),
                ("put_at", models.DateTimeField()),
            ],
            options={"db_table": "legal_case_record", "managed": False},
        ),
    ]
