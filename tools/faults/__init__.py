"""Breaking it on purpose: power cuts, killed and failing calls of the real service; see docs/faults.md."""
