"""Whether certificates fit together, judged by TLS itself: hosts need no openssl for that."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

EXPIRED = 10  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED; a wrong signature comes before it


def is_signed_by(certificate: Path, key: Path, authority: Path) -> bool:
    """Say whether a server's certificate is of an authority, also after its time: a handshake in memory."""
    client_settings = ssl.create_default_context(cafile=str(authority))
    client_settings.check_hostname = False
    client_settings.verify_flags &= ~ssl.VERIFY_X509_STRICT  # MicroK8s has made authorities without keyUsage
    server_settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_settings.load_cert_chain(certificate, key)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_settings.wrap_bio(to_client, to_server)
    server = server_settings.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (client, server, client):
            with suppress(ssl.SSLWantReadError):  # it has said its part
                side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return error.verify_code == EXPIRED
    return True
