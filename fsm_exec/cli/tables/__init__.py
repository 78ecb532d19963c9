"""Tables for a person: as much as fits, and nothing that is cut."""
