"""Approved articles: read from markdown, governed, searched, cited.

Only what a second person approved, is in date and is meant for the reader can be found; whatever
stands in an article is data, never an instruction and never markup.
"""
