"""What readers had, judged by what they did: the lists of the release before and tonight's events."""
