"""What was decided about objections. There is no way back: a decision stands."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("privacy_requests", "0005_restriction")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.privacy.requests", "0006_ruling")),
        migrations.CreateModel(
            name="PrivacyRuling",
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
                ("ruling", models.TextField()),
                ("follow_up", models.UUIDField(null=True)),
                ("ruled_by", models.UUIDField()),
                ("record_id", models.UUIDField()),
                ("ruled_at", models.DateTimeField()),
            ],
            options={"db_table": "privacy_ruling", "managed": False},
        ),
    ]
