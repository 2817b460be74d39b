"""What a user sees on a terminal: progress, answers, comparisons, verdicts, the host."""
