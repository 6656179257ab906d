"""Migrations are complete, models say what the tables are, and every table is in its own kind of database only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.ledger.attempts import columns, tables
from tests.integration.ledger.superuser import superuser

ROOT = Path(__file__).resolve().parents[2]
DATABASES = {
    "auditvault_control": "default",
    "region_eu": "region_eu",
    "region_us": "region_us",
    "keys_eu": "keys_eu",
    "keys_us": "keys_us",
}
KINDS = {"auditvault_control": "control", "region": "region", "keys": "keys"}
# Tables that only functions and migrations touch; no model is needed to read them.
WITHOUT_MODEL = {"auditvault_monthly_table", "django_migrations"}
every_database = pytest.mark.parametrize("database", DATABASES)


def manage(cluster, *words):
    return subprocess.run(
        [sys.executable, "-m", "django", *words],
        env=cluster.environment("owner"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_no_model_has_changed_without_a_migration(cluster):
    done = manage(cluster, "makemigrations", "--check", "--dry-run")
    assert (done.returncode, done.stdout.strip()) == (0, "No changes detected")


@pytest.mark.parametrize("database", ["auditvault_control", "region_us", "keys_us"])
def test_every_migration_is_applied(cluster, database):
    done = manage(cluster, "migrate", "--check", "--database", DATABASES[database])
    assert (done.returncode, done.stderr) == (0, "")


def test_migrating_again_changes_nothing(cluster):
    done = manage(cluster, "migrate_all", "--verbosity", "0")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_systems_checks_find_nothing(cluster):
    done = manage(cluster, "check", "--fail-level", "WARNING")
    assert (done.returncode, "no issues" in done.stdout) == (0, True)


def models_in(alias):
    """The concrete models, join tables included, that the router puts into this database."""
    from django.apps import apps
    from django.db import router

    found = [
        model
        for model in apps.get_models(include_auto_created=True)
        if router.allow_migrate_model(alias, model) and not model._meta.proxy
    ]
    return {model._meta.db_table: model for model in found}


def declared(alias, model):
    """Column -> (type, may be NULL) as the model says."""
    from django.db import connections

    connection = connections[alias]
    found = {}
    for field in model._meta.concrete_fields:
        kind = field.db_type(connection)
        if kind is not None:  # a composite key is no column
            kind = kind.replace("varchar", "character varying")
            found[field.column] = (kind, field.null)
    return found


def real(connection, table):
    """Column -> (type, may be NULL) as the table is."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        (table,),
    ).fetchall()
    return {name: (kind, null) for name, kind, null in rows}


@every_database
def test_models_and_tables_have_the_same_columns(cluster, service, database):
    alias = DATABASES[database]
    with superuser(cluster, database) as connection:
        different = {
            table: (said, found)
            for table, model in models_in(alias).items()
            # Django's own tables follow Django's own migrations, which leave one id wider than its model.
            if model.__module__.startswith("auditvault.")
            and (said := declared(alias, model)) != (found := real(connection, table))
        }
    assert different == {}


@every_database
def test_every_table_has_a_model_here_and_every_model_a_table(cluster, service, database):
    with superuser(cluster, database) as connection:
        found = set(tables(connection, partitions=False)) - WITHOUT_MODEL
    assert found == set(models_in(DATABASES[database]))


def test_no_table_is_in_two_kinds_of_database(cluster):
    places = {}
    for database in DATABASES:
        kind = KINDS.get(database) or KINDS[database.partition("_")[0]]
        with superuser(cluster, database) as connection:
            for table in tables(connection, partitions=False):
                places.setdefault(table, set()).add(kind)
    both = {table for table, kinds in places.items() if len(kinds) > 1}
    assert both == {"django_migrations"}


def test_every_region_has_the_same_schema(cluster):
    schemas = []
    for database in ("region_eu", "region_us"):
        with superuser(cluster, database) as connection:
            names = tables(connection, partitions=False)
            schemas.append({table: real(connection, table) for table in names})
    assert schemas[0] == schemas[1]


def test_no_content_and_no_name_of_a_person_has_a_column_in_the_control_database(cluster):
    with superuser(cluster, "auditvault_control") as connection:
        names = {
            f"{table}.{column}"
            for table in tables(connection)
            for column in columns(connection, table)
        }
    about_subjects = {name for name in names if "subject" in name or "envelope" in name}
    assert about_subjects == set()
