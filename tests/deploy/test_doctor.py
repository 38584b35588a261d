"""The doctor over TLS: whose certificates it takes for an endpoint's."""

import datetime
import ipaddress
import json
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support import MINTLET, plain_environment

DAY = datetime.timedelta(days=1)


def certificate(names, *, issuer=None, ends=DAY):
    """A certificate and its key, signed by an issuer or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a root" if issuer is None else "an endpoint")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer[0].subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * DAY)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"status":"ok"}'
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def endpoint(folder, pair):
    file = folder / "endpoint.pem"
    file.write_bytes(
        pair[0].public_bytes(serialization.Encoding.PEM)
        + pair[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


HERE = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


@pytest.mark.parametrize(
    ("names", "ends", "bundled", "status"),
    [
        (HERE, DAY, True, "ok"),
        (HERE, DAY, False, "fault"),
        (HERE, -DAY, True, "fault"),
        ([x509.DNSName("auth.example.com")], DAY, True, "fault"),
    ],
    ids=["trusted", "from-a-stranger", "expired", "of-another-name"],
)
def test_a_certificate_has_to_be_good(tmp_path, names, ends, bundled, status):
    root = certificate([])
    bundle = tmp_path / "roots.pem"
    bundle.write_bytes(root[0].public_bytes(serialization.Encoding.PEM))
    with endpoint(tmp_path, certificate(names, issuer=root, ends=ends)) as url:
        done = subprocess.run(
            [MINTLET, "doctor", "--json", "--url", url],
            capture_output=True, text=True, timeout=60,
            env=plain_environment(**({"AWS_CA_BUNDLE": str(bundle)} if bundled else {})),
        )
    [health] = [finding for finding in json.loads(done.stdout)["findings"] if finding["check"] == "health"]
    assert health["status"] == status, health
    assert status == "ok" or "certificate" in health["what"], health


def test_a_bundle_that_is_none_stops_the_doctor(tmp_path):
    bundle = tmp_path / "roots.pem"
    bundle.write_text("no certificate")
    done = subprocess.run(
        [MINTLET, "doctor", "--url", "https://127.0.0.1:1"],
        capture_output=True, text=True, timeout=60, env=plain_environment(AWS_CA_BUNDLE=str(bundle)),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"mintlet: AWS_CA_BUNDLE {bundle}: not certificates in PEM\n"
