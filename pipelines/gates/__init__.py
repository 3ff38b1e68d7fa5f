"""What must hold before a day's lists are shown: feeds, extracts, teams and scores against their own history."""
