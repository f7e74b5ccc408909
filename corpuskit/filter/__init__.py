"""The filter verb: stages that look at one document at a time."""
