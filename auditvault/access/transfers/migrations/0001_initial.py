"""Transfer bases by tenant and region. There is no way back: why content left is not forgotten."""

from django.db import migrations, models

from auditvault.ledger.sqlfiles import load_sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(load_sql("auditvault.access.transfers", "0001_basis")),
        migrations.CreateModel(
            name="StoredBasis",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "basis_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("basis_id", models.UUIDField()),
                ("kind", models.TextField()),
                ("reference", models.TextField()),
                ("region", models.TextField()),
                ("to_region", models.TextField()),
                ("valid_from", models.DateTimeField()),
                ("valid_until", models.DateTimeField()),
                ("recorded_by", models.UUIDField()),
                ("recorder", models.TextField()),
                ("recorded_at", models.DateTimeField()),
            ],
            options={
                "db_table": "transfer_basis",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="StoredBasisEnd",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "basis_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.UUIDField()),
                ("basis_id", models.UUIDField()),
                ("ender", models.TextField()),
                ("ended_at", models.DateTimeField()),
            ],
            options={
                "db_table": "transfer_basis_end",
                "managed": False,
            },
        ),
    ]
