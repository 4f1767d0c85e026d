"""The standard Bluetooth services: one file each, bytes to what they say. Sources: ble/sig_*.md."""
