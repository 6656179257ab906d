"""Whose a record is, where no object says so."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("vault", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault", "0002_records")),
        migrations.CreateModel(
            name="SubjectRecord",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "record_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("record_id", models.UUIDField()),
                ("subject_id", models.UUIDField()),
            ],
            options={
                "db_table": "vault_record",
                "managed": False,
            },
        ),
    ]
