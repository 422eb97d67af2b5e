"""The demo's runbooks: one for each error code an order may carry, and some general documents."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Runbook:
    """Runbook of one error code."""

    code: str
    name: str
    title: str
    dimension: str
    """Column of the orders that such an incident is tied to."""
    symptoms: str
    cause: str
    remedy: str

    @property
    def text(self) -> str:
        """Return it as Markdown."""
        return (
            f"# {self.title}\n\nError code: `{self.code}`\n\n## Symptoms\n\n{self.symptoms}\n\n"
            f"## Cause\n\n{self.cause}\n\n## Remedy\n\n{self.remedy}\n\n"
            "## Afterwards\n\nWatch the failure rate for one hour, then close the incident and list the orders.\n"
        )


RUNBOOKS: Final = (
    Runbook(
        "GW-504",
        "gateway-timeouts.md",
        "Gateway timeouts at a payment provider",
        "payment_provider",
        "Orders through one payment provider fail; their latency lies near the limit of the gateway.",
        "The provider answers too slowly, and the connection pool towards it is exhausted.",
        "Fail over to the standby provider in the routing table, then double the pool size before routing back.",
    ),
    Runbook(
        "SIG-401",
        "signature-refused.md",
        "Requests refused for their signature",
        "payment_provider",
        "One payment provider refuses every request for some hours; others work.",
        "The provider rotated its signing certificate and our key store still holds the old one.",
        "Import the provider's new certificate into the key store and restart the payment workers one by one.",
    ),
    Runbook(
        "QUO-429",
        "provider-quota.md",
        "Quota of a payment provider used up",
        "payment_provider",
        "A large share of one payment provider's orders is refused at once, with low latency.",
        "A batch of retries has used up our request quota at the provider.",
        "Stop the retry job, ask the provider's desk for a temporary quota, and set the retry budget to one in ten.",
    ),
    Runbook(
        "SER-422",
        "unreadable-basket.md",
        "Baskets the backend cannot read",
        "app_version",
        "Orders of one app version fail; older and newer versions work.",
        "The release writes the basket in a format that the order service does not accept.",
        "Switch off the feature flag `basket-v2` for that version and ask the mobile team for a corrected build.",
    ),
    Runbook(
        "TOK-403",
        "expired-tokens.md",
        "Sessions with expired tokens",
        "app_version",
        "Customers of one app version are refused at checkout although they are signed in.",
        "The version does not renew its access token while the app is in the background.",
        "Lengthen the life of access tokens to 24 hours for that version until the fixed build is rolled out.",
    ),
    Runbook(
        "DB-1205",
        "lock-waits.md",
        "Lock waits in a regional database",
        "region",
        "Orders of one region fail after a long wait; the others are fine.",
        "A long-running report holds locks on the stock table of the region's database.",
        "End the reporting session on the region's primary and move the report to the read replica.",
    ),
    Runbook(
        "NET-113",
        "no-route.md",
        "No route between a region and the core",
        "region",
        "Orders of one region fail quickly; its other traffic is thinner than usual.",
        "A firewall change has removed the route between the region and the core network.",
        "Roll back the last firewall change of the region and verify the route with the reachability probe.",
    ),
    Runbook(
        "TAX-503",
        "tax-service-down.md",
        "Tax service of a region not available",
        "region",
        "Orders of one region stop at the computation of tax.",
        "The external tax service of the region is down, and no fallback rate is configured.",
        "Switch the region to the cached tax table and reconcile the difference when the service is back.",
    ),
)

GENERAL: Final = {
    "on-call-handbook.md": "# On-call handbook\n\n## First minutes\n\nFind out what fails, since when and for whom, "
    "before anything is changed. Write down every step.\n\n## Escalation\n\nAn incident of more than one hour "
    "goes to the duty lead.\n",
    "refund-policy.md": "# Refunds after an incident\n\n## Rule\n\nA failed order was not charged and needs no refund. "
    "Orders charged twice are refunded within two days.\n",
    "release-calendar.md": "# Release calendar\n\n## Rule\n\nApp versions are released on Tuesdays; nothing goes out "
    "on the day before a holiday. A release can be halted from the rollout page.\n",
    "capacity-of-promotions.md": "# Capacity for promotions\n\n## What to expect\n\nA promotion brings more "
    "orders for some hours. More orders alone are no incident as long as the share that fails stays the same.\n",
}

PDF_NAME = "incident-report-guide.pdf"
PDF_LINES = (
    "How to write an incident report",
    "Say what failed, when it began and ended, how many orders were affected,",
    "which cause was found and on what evidence, and what was done about it.",
    "Figures are checked independently before the report goes out.",
)


def write_runbooks(folder: Path) -> None:
    """Write all of them into the folder, which is created if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for runbook in RUNBOOKS:
        (folder / runbook.name).write_text(runbook.text, encoding="utf-8")
    for name, text in GENERAL.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / PDF_NAME).write_bytes(pdf(PDF_LINES))


def pdf(lines: tuple[str, ...]) -> bytes:
    """Return a PDF of one page. The lines are plain ASCII without brackets or backslashes."""
    shown = "BT /F1 12 Tf 60 760 Td 18 TL " + " ".join(f"({line}) Tj T*" for line in lines) + " ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
            "/Resources << /Font << /F1 5 0 R >> >> >>"
        ),
        f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    text, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(text))
        text += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(text)}\n%%EOF\n"
    return f"{text}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}".encode("ascii")
