"""The command line for technicians and operators; imports anything, nothing imports it."""
