"""Signatures by the Standard Webhooks specification, version 1: who has the secret knows that the body is ours."""

from __future__ import annotations

import base64
import hashlib
import hmac


def signed(secret: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers by which a receiver checks the body and that it is not an old one sent again."""
    content = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    signature = base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}
