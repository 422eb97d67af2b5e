"""The forms of PromQL that panels ask in."""


def rate(metric: str, *by: str, only: str = "") -> str:
    """How fast it rises, a second."""
    return f"sum by ({', '.join(by)}) (rate({metric}{{{only}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, *by: str, only: str = "") -> str:
    """The value that this share of what was measured lies below."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', 'le', *by, only=only)})"


def within(metric: str, *by: str, only: str = "") -> str:
    """How much it rose in the time shown."""
    return f"sum by ({', '.join(by)}) (increase({metric}{{{only}}}[$__range]))"
