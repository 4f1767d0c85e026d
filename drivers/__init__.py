"""One file per device family, each ending in `DRIVER = Driver(...)`; imports protocol only."""
