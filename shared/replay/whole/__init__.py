"""Recorded runs played again from their task, or from a chosen turn, as branches that cannot act."""
