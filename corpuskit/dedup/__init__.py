"""What looks at several documents, or at sets: drops what is there already, and names its twin."""
