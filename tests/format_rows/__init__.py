"""Rows in the shapes that sets are published in; all content is invented here."""
