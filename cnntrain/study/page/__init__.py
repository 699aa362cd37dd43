"""``report.html``: one page a run, and one for many, that need no other file and no network."""
