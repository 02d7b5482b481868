"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings
from postgres import database, postgres, postgres_database
from s3 import bucket, s3_server

# Fixtures for every test.
__all__ = ["bucket", "database", "postgres", "postgres_database", "s3_server"]

# An example may take as long as a loaded machine needs: time is measured in benchmarks, not here.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
