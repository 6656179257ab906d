"""The table of this app. There is no way back: older versions of a policy are kept."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("privacy_holds", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.privacy.retention", "0001_policy")),
        migrations.CreateModel(
            name="RetentionPolicyVersion",
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
                ("document", models.BinaryField()),
                ("old", models.BinaryField(null=True)),
                ("approval_id", models.UUIDField(null=True)),
                ("approved_at", models.DateTimeField(null=True)),
                ("in_force_at", models.DateTimeField()),
                ("record_id", models.UUIDField()),
                ("set_at", models.DateTimeField()),
            ],
            options={"db_table": "retention_policy", "managed": False},
        ),
    ]
