"""Loads an app's SQL files by name: SQL longer than a line does not stand in Python."""

from __future__ import annotations

from importlib.resources import files


def load_sql(package: str, name: str) -> str:
    """The text of `sql/<name>.sql` in `package`; raises FileNotFoundError where there is none."""
    return (files(package) / "sql" / f"{name}.sql").read_text(encoding="utf-8")
