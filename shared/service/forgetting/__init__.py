"""Forgetting of runs: orders are recorded, and carried out by a background task of one service."""

from shared.service.forgetting.carrying_out import Forgetter, forgetter_of, order_forgetting

__all__ = ["Forgetter", "forgetter_of", "order_forgetting"]
