"""The tables of this app. There is no way back: a request is not un-asked."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.privacy.requests", "0001_request")),
        migrations.CreateModel(
            name="PrivacyRequest",
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
                ("kind", models.TextField()),
                ("regime", models.TextField()),
                ("regime_version", models.TextField()),
                ("received_at", models.DateTimeField()),
                ("acknowledge_by", models.DateField(null=True)),
                ("answer_by", models.DateField()),
                ("extended_by", models.DateField(null=True)),
                ("due_at", models.DateTimeField()),
                ("extended_due_at", models.DateTimeField(null=True)),
                ("words_object", models.UUIDField(null=True)),
                ("state", models.TextField()),
                ("step", models.IntegerField()),
                ("hands", ArrayField(base_field=models.UUIDField(), size=None)),
                ("is_identified", models.BooleanField()),
                ("manifest", models.BinaryField(null=True)),
                ("approved_manifest", models.BinaryField(null=True)),
                ("approved_by", models.UUIDField(null=True)),
                ("has_begun", models.BooleanField()),
                ("is_extended", models.BooleanField()),
            ],
            options={"db_table": "privacy_request", "managed": False},
        ),
        migrations.CreateModel(
            name="PrivacyRequestTag",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "request_id",
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
                ("kind", models.TextField()),
                ("tag", models.BinaryField()),
                ("normalisation", models.SmallIntegerField()),
            ],
            options={"db_table": "privacy_request_tag", "managed": False},
        ),
        migrations.CreateModel(
            name="PrivacyRequestStep",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "request_id",
                        "step",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("request_id", models.UUIDField()),
                ("step", models.IntegerField()),
                ("action", models.TextField()),
                ("from_state", models.TextField(null=True)),
                ("to_state", models.TextField()),
                ("actor", models.TextField()),
                ("record_id", models.UUIDField()),
                ("taken_at", models.DateTimeField()),
            ],
            options={"db_table": "privacy_request_step", "managed": False},
        ),
    ]
