"""
DIDs whose last segment is the fingerprint of a key: does the document belong to it?

The profiles e1 and k1 of C{did:wba} are those of the C{anp} package, and so is the
judgement: L{key_bound} is all of it that is used here. It comes with the extra
C{did}, and is imported when such a DID is seen first.
"""

from __future__ import annotations

import json

from anp_twisted.auth.did import parse_did
from anp_twisted.errors import CredentialsRefused


def key_bound(did: str, body: bytes) -> bool:
    """
    @param did: such as its L{Did.key_bound<anp_twisted.auth.did.Did.key_bound>} says.
    @param body: its document, which has been parsed once already.
    @return: whether the key in its name is the one that vouches for the document.
    @raise CredentialsRefused: it cannot be told.
    """
    try:
        from anp.authentication.did_wba import validate_did_document_binding, verify_did_key_binding
    except ImportError:
        raise CredentialsRefused("DIDs with the fingerprint of a key need the extra did") from None
    # boundary: a stranger's document in somebody else's code.
    try:
        document = json.loads(body)
        if parse_did(did).path[-1].startswith("e1_"):
            return validate_did_document_binding(document) is True
        # The other function takes some old documents without looking at the fingerprint.
        listed = {entry for entry in document["authentication"] if isinstance(entry, str)}
        methods = [method for method in document["verificationMethod"] if method["id"] in listed]
        return any(verify_did_key_binding(did, method) is True for method in methods)
    except Exception:  # noqa: BLE001 - boundary: see above
        return False
