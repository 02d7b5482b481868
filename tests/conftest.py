"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings
from postgres import database, postgres, postgres_database

__all__ = ["database", "postgres", "postgres_database"]  # fixtures for every test

# An example may take as long as a loaded machine needs: time is measured in benchmarks, not here.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
