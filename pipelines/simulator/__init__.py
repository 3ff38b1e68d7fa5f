"""A trust that does not exist: what its community teams, wards and emergency departments would have recorded, with
the faults that real records have, and the truth behind it."""
