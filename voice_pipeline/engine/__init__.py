"""Durable execution on DBOS. The only folder that imports dbos."""
