"""A night: its stations, their order, and how it begins, ends, resumes and is retried."""
