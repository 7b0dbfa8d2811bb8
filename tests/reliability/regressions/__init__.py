"""Mistakes that were found in the product, each with the story that shows it. None is ever removed."""
