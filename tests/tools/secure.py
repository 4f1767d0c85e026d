"""An HTTPS server on the loopback with a certificate of its own; its key is of no use anywhere else."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

UNTIL_2099 = (
    "MIIBZTCCAQqgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwIBcNMDAwMTAxMDAwMDAwWhgPMjA5OTEyMzEw"
    "MDAwMDBaMBQxEjAQBgNVBAMMCWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPk8mGX2k5JMHPTwEiqqBojkSH3bAULU"
    "rqqk/+oEFiviSxl+c3a4h4jZN4/mPUS8AeeQf5JOopyBv+pJ2lf8z7ejSzBJMBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAMBgNV"
    "HRMEBTADAQH/MB0GA1UdDgQWBBSbtYPlVeClqjyFf7UVm7pfccMovDAKBggqhkjOPQQDAgNJADBGAiEAsfF4AoubWNZpKHmHJm334fH+"
    "YJrJlHKd/ev6DMStE3ICIQDPYXiBLTtHeY5+lSh8RzdyYF89U+CRp8jS7KWGlDvEaQ=="
)
UNTIL_2001 = (
    "MIIBYjCCAQigAwIBAgIBAjAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwHhcNMDAwMTAxMDAwMDAwWhcNMDEwMTAxMDAw"
    "MDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT5PJhl9pOSTBz08BIqqgaI5Eh92wFC1K6q"
    "pP/qBBYr4ksZfnN2uIeI2TeP5j1EvAHnkH+STqKcgb/qSdpX/M+3o0swSTAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwDAYDVR0T"
    "BAUwAwEB/zAdBgNVHQ4EFgQUm7WD5VXgpao8hX+1FZu6X3HDKLwwCgYIKoZIzj0EAwIDSAAwRQIhAIjhwurnRu3eDNsFL/7Dp4D6vypi"
    "mokwyZbjRx7TipdCAiA31OITiMA2aeCJdPMK4tZRG7vecxLUTX1Rv4Nv5fvH9w=="
)
KEY = (
    "MHcCAQEEIDLrg+qd/bdUPGW8PKo5OTzhMSdn7qFG3puVx94E8OCooAoGCCqGSM49AwEHoUQDQgAE+TyYZfaTkkwc9PASKqoGiORIfdsB"
    "QtSuqqT/6gQWK+JLGX5zdriHiNk3j+Y9RLwB55B/kk6inIG/6knaV/zPtw=="
)


def pem(what: str, content: str) -> str:
    return f"-----BEGIN {what}-----\n{content}\n-----END {what}-----\n"


def trusting(certificate: str) -> ssl.SSLContext:
    """Return what trusts this certificate and no other."""
    return ssl.create_default_context(cadata=pem("CERTIFICATE", certificate))


@contextmanager
def answering(
    body: str, certificate: str | None, folder: Path, status: int = 200, date: str = ""
) -> Iterator[str]:
    """Serve one fixed answer, over TLS where a certificate is given; yields the base address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)
            if date:
                self.send_header("Date", date)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        if certificate:
            both = folder / "server.pem"
            both.write_text(pem("CERTIFICATE", certificate) + pem("EC PRIVATE KEY", KEY))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(both)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield f"http{'s' if certificate else ''}://localhost:{server.server_port}/fhir"
        finally:
            server.shutdown()
            serving.join()
