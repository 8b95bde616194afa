"""Reports of leaked keys by those who search for them: who signed a report, and what it says."""
