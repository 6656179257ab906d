"""The table and functions that restrict a person for a request. There is no way back: who is restricted stays so."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("privacy_requests", "0004_told"), ("vault", "0008_readable")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.privacy.requests", "0005_restriction")),
        migrations.CreateModel(
            name="PrivacyRestriction",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "request_id",
                        "subject_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("request_id", models.UUIDField()),
                ("subject_id", models.UUIDField()),
                ("restricted_at", models.DateTimeField()),
                ("lifted_at", models.DateTimeField(null=True)),
                ("lifted_by", models.UUIDField(null=True)),
            ],
            options={"db_table": "privacy_restriction", "managed": False},
        ),
    ]
