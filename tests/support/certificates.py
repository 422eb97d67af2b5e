"""Certificates made for one test run, and who is to be distrusted."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path

    @property
    def keystore(self) -> Path:
        """Both in one file, the key as PKCS 8: as Kafka reads them."""
        key = serialization.load_pem_private_key(self.key.read_bytes(), None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        both = self.certificate.with_name(self.certificate.stem + "-both.pem")
        both.write_bytes(key + self.certificate.read_bytes())
        return both


class Certificates:
    """One authority that is trusted, one that is not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ours, self._strange = trustme.CA(), trustme.CA()
        self.ca = self._write("ca", self._ours.cert_pem)
        self.strange_ca = self._write("strange-ca", self._strange.cert_pem)
        self.server = self._issue("server", self._ours, HOST)
        self.expired = self._issue("expired", self._ours, HOST, expires=datetime.now(UTC) - timedelta(days=1))
        self.other_host = self._issue("other", self._ours, "elsewhere.example")
        self.client = self._issue("client", self._ours, "bee@hive.example")
        self.strange_client = self._issue("strange", self._strange, "fly@hive.example")

    def _issue(self, name: str, authority: trustme.CA, who: str, expires: datetime | None = None) -> Pair:
        issued = authority.issue_cert(who, not_after=expires, key_type=trustme.KeyType.RSA)
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        certificate = self._folder / f"{name}.pem"
        certificate.write_bytes(chain)
        return Pair(certificate, self._write(f"{name}-key", issued.private_key_pem))

    def _write(self, name: str, blob: trustme.Blob) -> Path:
        path = self._folder / f"{name}.pem"
        blob.write_to_path(path)
        path.chmod(0o600)
        return path
