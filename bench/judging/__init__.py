"""What a run says: its answers, its verdicts on popular sentences, and how it stands beside another run."""
