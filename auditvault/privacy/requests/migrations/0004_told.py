"""At which parts of their time requests were told of. There is no way back: what was told was told."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("privacy_requests", "0003_regions")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.privacy.requests", "0004_told")),
        migrations.CreateModel(
            name="PrivacyRequestTold",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "request_id",
                        "due_at",
                        "part",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("request_id", models.UUIDField()),
                ("due_at", models.DateTimeField()),
                ("part", models.SmallIntegerField()),
            ],
            options={"db_table": "privacy_request_told", "managed": False},
        ),
    ]
