"""What `hansard doctor` checks: each returns a sentence if all is well, and raises one that says what to mend."""
