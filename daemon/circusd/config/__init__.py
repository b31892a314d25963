"""From configuration files to a validated, typed model."""
