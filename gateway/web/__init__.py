"""The page a village doctor works with: rendered on the server, live by events, usable without JavaScript."""
