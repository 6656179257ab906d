"""Access reviews by tenant and region. There is no way back: who reviewed what is not forgotten."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


def _key() -> models.CompositePrimaryKey:
    return models.CompositePrimaryKey(
        "tenant_id",
        "review_id",
        blank=True,
        editable=False,
        primary_key=True,
        serialize=False,
    )


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.evidence.reviews", "0001_review")),
        migrations.CreateModel(
            name="StoredReview",
            fields=[
                ("pk", _key()),
                ("tenant_id", models.UUIDField()),
                ("review_id", models.UUIDField()),
                ("quarter", models.TextField()),
                ("opened_at", models.DateTimeField()),
                ("opened_by", models.UUIDField()),
                ("opener", models.TextField()),
                ("list", models.BinaryField()),
                ("list_sha256", models.BinaryField()),
            ],
            options={
                "db_table": "access_review",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="SignOff",
            fields=[
                ("pk", _key()),
                ("tenant_id", models.UUIDField()),
                ("review_id", models.UUIDField()),
                ("signed_at", models.DateTimeField()),
                ("signed_by", models.UUIDField()),
                ("signer", models.TextField()),
                ("decisions", models.BinaryField()),
                ("record_id", models.UUIDField()),
            ],
            options={
                "db_table": "access_review_sign_off",
                "managed": False,
            },
        ),
    ]
