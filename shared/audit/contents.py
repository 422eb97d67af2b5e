"""Contents of rows: texts, with a salt, packed and sealed under the key of their run if the installation seals.

The digest in the row covers the salt, so that it reveals nothing once the contents are gone.
"""

import hashlib
import json
import secrets
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.archive.run_keys import Keys, RunKeys
from shared.audit.row import Draft, canonical, writable
from shared.bus.sealing import LARGEST_OPENED, Damaged, Owner, is_sealed, seal, unseal
from shared.telemetry.redaction import redacted

_PLAIN = b"\x00"
"""First byte of contents that are not sealed."""

_SALT = "salt"


class Packed(NamedTuple):
    """Contents as they are stored, and the digest of what is in them."""

    digest: str
    content: bytes


class Opened(NamedTuple):
    """Contents as they are read."""

    contents: Mapping[str, Any] | None
    """None if the run was forgotten, or the bytes cannot be read."""
    digest: str


class Contents:
    """Packs and opens contents."""

    def __init__(self, dsn: str, *, seals: bool) -> None:
        self._keys = RunKeys(dsn)
        self._seals = seals

    async def packed(self, drafts: Sequence[Draft]) -> list[Packed | None]:
        """Return the contents of each draft; None without any, and of a run that was forgotten."""
        runs = {each.run_id: each.tenant for each in drafts if each.run_id and each.contents is not None}
        keys = await self._keys.make(runs) if self._seals and runs else {}
        return [self._pack(each, keys) for each in drafts]

    def _pack(self, draft: Draft, keys: Keys) -> Packed | None:
        if draft.contents is None:
            return None
        salted = redacted(draft.contents) | {_SALT: secrets.token_hex(16)}
        text = writable(canonical(salted)).encode()
        digest = hashlib.sha256(text).hexdigest()
        if draft.run_id not in keys:
            return Packed(digest, _PLAIN + zlib.compress(text, 6))
        found = keys[draft.run_id]
        owner = Owner(draft.tenant, draft.run_id)
        return Packed(digest, seal(owner, found[0], {}, text).value) if found else None

    async def opened(self, tenant: str, found: Sequence[tuple[str, bytes]]) -> list[Opened]:
        """Return contents by run and stored bytes. Raises ArchiveUnavailable."""
        sealed = {run for run, content in found if is_sealed(content)}
        keys = await self._keys.get(sorted(sealed)) if sealed else {}
        return [_open(Owner(tenant, run), content, keys) for run, content in found]

    async def forgotten(self, runs: Sequence[str]) -> set[str]:
        """Return those of these runs that were forgotten."""
        keys = await self._keys.get(runs)
        return {run for run, key in keys.items() if key is None}

    async def close(self) -> None:
        """Close the connections."""
        await self._keys.close()


def _open(owner: Owner, content: bytes, keys: Keys) -> Opened:
    try:
        text = _text(owner, content, keys)
        if text is None:
            return Opened(None, "")
        contents = json.loads(text)
    except (Damaged, ValueError, zlib.error):
        return Opened(None, "damaged")
    contents.pop(_SALT, None)
    return Opened(contents, hashlib.sha256(text).hexdigest())


def _text(owner: Owner, content: bytes, keys: Keys) -> bytes | None:
    if not is_sealed(content):
        unpacking = zlib.decompressobj()
        return unpacking.decompress(content[1:], LARGEST_OPENED)
    found = keys.get(owner.run)
    return unseal(owner, found, content).value if found else None
