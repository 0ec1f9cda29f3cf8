"""Every type that crosses a seam between stages: frozen, closed and free of behaviour that decides."""
