"""A throw-away certificate authority, for a server on 127.0.0.1 that speaks TLS."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import trustme


class Authority:
    """A certificate authority made anew, and one certificate of it for 127.0.0.1 and localhost."""

    def __init__(self, folder: Path) -> None:
        """Make both, and write the authority's own certificate into `folder`."""
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
        self.fingerprint = hashlib.sha256(der).hexdigest()
        """SHA-256 of the server's certificate, in hexadecimal digits."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """What a server wraps its connections with."""
        certificate.configure_cert(self.context)
