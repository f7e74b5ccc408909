"""Crawl: the world, its archives, sites and dumps, in; documents out."""
