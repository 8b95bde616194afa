"""Replies on their way to a caller who may have only a part of them."""
