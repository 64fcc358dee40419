"""The store on disk: its layout, names, locks, hashes and the records of its runs."""
