"""Dated, sourced numbers the verification rules use; no threshold stands in code."""
