"""PromQL queries of the panels."""


def rate(metric: str, *by: str, only: str = "") -> str:
    """Per-second rate."""
    return f"sum by ({', '.join(by)}) (rate({metric}{{{only}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, *by: str, only: str = "") -> str:
    """Quantile of a histogram."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', 'le', *by, only=only)})"


def within(metric: str, *by: str, only: str = "") -> str:
    """Increase over the selected time range."""
    return f"sum by ({', '.join(by)}) (increase({metric}{{{only}}}[$__range]))"
