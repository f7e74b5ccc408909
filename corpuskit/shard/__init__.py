"""The finished set, as a trainer reads it."""
