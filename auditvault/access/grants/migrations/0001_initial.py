"""Grants by tenant and region. There is no way back: who was let see what is not forgotten."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("access_approvals", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.access.grants", "0001_grant")),
        migrations.CreateModel(
            name="StoredGrant",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "grant_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("grant_id", models.UUIDField()),
                ("approval_id", models.UUIDField()),
                ("human_id", models.UUIDField()),
                ("holder", models.TextField()),
                ("case_ref", models.TextField()),
                ("terms", models.BinaryField()),
                ("approver", models.TextField()),
                ("starts_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(null=True)),
                ("revoker", models.TextField(null=True)),
            ],
            options={
                "db_table": "access_grant",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="GrantUse",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "grant_id",
                        "record_id",
                        "object_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("grant_id", models.UUIDField()),
                ("record_id", models.UUIDField()),
                ("object_id", models.UUIDField()),
                ("used_at", models.DateTimeField()),
            ],
            options={
                "db_table": "access_grant_use",
                "managed": False,
            },
        ),
    ]
