"""What names the person in other regions. There is no way back: a request is not un-asked."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("privacy_requests", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.privacy.requests", "0003_regions")),
        migrations.CreateModel(
            name="PrivacyRequestRegionTag",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "request_id",
                        "region",
                        "kind",
                        "tag",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("request_id", models.UUIDField()),
                ("region", models.TextField()),
                ("kind", models.TextField()),
                ("tag", models.BinaryField()),
                ("normalisation", models.SmallIntegerField()),
            ],
            options={"db_table": "privacy_request_region_tag", "managed": False},
        ),
    ]
