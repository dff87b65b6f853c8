"""The numbered files of the schema, and what applies them once; start-up and `langyard migrate` call it."""

from langyard.postgres.migrations.runner import (
    FOLDER,
    LOCK,
    Migration,
    check,
    index_values,
    index_vectors,
    migrate,
    plan,
)

__all__ = ["FOLDER", "LOCK", "Migration", "check", "index_values", "index_vectors", "migrate", "plan"]
