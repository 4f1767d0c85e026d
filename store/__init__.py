"""The journal and everything in SQLite; imports protocol only."""
