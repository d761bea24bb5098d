"""Alembic's scripts: how a store of an older afuic becomes one of this. They travel inside the package; ``store.database`` runs them."""
