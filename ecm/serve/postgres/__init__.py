"""The lease book in PostgreSQL, for processes of several machines."""
