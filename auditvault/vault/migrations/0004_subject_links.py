"""Which subjects are one person. There is no way back: what was merged is known by it alone."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    dependencies = [("vault", "0003_pieces")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.vault", "0004_subject_links")),
        migrations.CreateModel(
            name="SubjectLink",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "link_number",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("link_number", models.BigIntegerField()),
                ("subject_id", models.UUIDField()),
                ("group_id", models.UUIDField()),
                ("linked_at", models.DateTimeField()),
            ],
            options={
                "db_table": "vault_subject_link",
                "managed": False,
            },
        ),
    ]
