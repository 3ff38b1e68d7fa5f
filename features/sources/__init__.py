"""Sources: any extract that a mapping describes, read into the contact history with every row accounted for."""
