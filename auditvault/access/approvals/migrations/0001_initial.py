"""Approvals by tenant and region. There is no way back: who approved what is not forgotten."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.access.approvals", "0001_approval")),
        migrations.CreateModel(
            name="StoredApproval",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "approval_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("approval_id", models.UUIDField()),
                ("operation", models.TextField()),
                ("case_ref", models.TextField()),
                ("plan", models.BinaryField()),
                ("plan_digest", models.BinaryField()),
                ("requested_by", models.UUIDField()),
                ("requester", models.TextField()),
                ("requested_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("state", models.TextField()),
                ("approved_by", models.UUIDField(null=True)),
                ("approver", models.TextField(null=True)),
                ("approved_at", models.DateTimeField(null=True)),
                ("ended_by", models.UUIDField(null=True)),
                ("ender", models.TextField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "access_approval",
                "managed": False,
            },
        ),
    ]
