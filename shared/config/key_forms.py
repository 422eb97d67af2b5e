"""Keys recognised by their form alone, which logs hide and the guardrails find; and a key that is no secret."""

FORMS: tuple[tuple[str, str, str], ...] = (
    ("AWS access key", "AKIA", r"\bAKIA[0-9A-Z]{16}\b"),
    ("AWS temporary key", "ASIA", r"\bASIA[0-9A-Z]{16}\b"),
    ("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"\bgh[pousr]_\w{20,255}"),
    ("GitHub token", "github_pat_", r"\bgithub_pat_\w{22,255}"),
    ("GitLab token", "glpat-", r"\bglpat-[\w-]{20,}"),
    ("Slack token", "xoxa- xoxb- xoxe- xoxp- xoxr- xoxs-", r"\bxox[abeprs]-[\w-]{10,}"),
    ("Slack webhook", "hooks.slack.com", r"\bhttps://hooks\.slack\.com/services/[\w/]{20,}"),
    ("Google API key", "AIza", r"\bAIza[\w-]{30,}"),
    ("Google OAuth token", "ya29.", r"\bya29\.[\w-]{20,}"),
    ("Stripe key", "_live_", r"\b[spr]k_live_\w{16,}"),
    ("model provider's key", "sk- pk- rk-", r"\b(?:sk|pk|rk)-(?:[\w-]{32,}|(?:[a-z]+-)?[A-Za-z0-9]{16,})"),
    ("SendGrid key", "SG.", r"\bSG\.[\w-]{16,}\.[\w-]{16,}"),
    ("Hugging Face token", "hf_", r"\bhf_[A-Za-z0-9]{30,}"),
    ("npm token", "npm_", r"\bnpm_[A-Za-z0-9]{36}"),
    ("PyPI token", "pypi-AgE", r"\bpypi-AgE[\w-]{50,}"),
    ("DigitalOcean token", "_v1_", r"\bdo[por]_v1_[a-f0-9]{64}"),
    ("Shopify token", "shp", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    ("Waggle key", "wgl_ wgs_", r"\bwg[ls]_[\w-]{43}"),
    ("Telegram bot token", ":AA", r"\b\d{8,10}:AA[\w-]{33}"),
    ("JSON web token", "eyJ", r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"),
)
"""Name, marks (every match contains one; searching them first is faster), and regular expression."""

KEY_FORMS = "|".join(f"(?:{form})" for _, _, form in FORMS)
"""One regular expression for all of them."""

SIMULATED_KEY = "simulated"
"""Key that the simulated model is given. It protects nothing, and is part of that model's name."""
