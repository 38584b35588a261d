"""Loopback stand-ins for AWS: Secrets Manager with one secret, and TLS in front of anything."""

import json
import socket
import ssl
import subprocess
import threading

from .processes import SCRATCH


def secrets_manager(secret, tls=None):
    """The port of a Secrets Manager that answers every GetSecretValue with `secret`."""
    body = json.dumps({"ARN": "arn:aws:secretsmanager:local:1:secret:keys", "Name": "keys", "SecretString": secret}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = head.encode() + body

    def serve(connection):
        buffer = b""
        while received := connection.recv(65536):
            buffer += received
            head, found, rest = buffer.partition(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if found and len(rest) >= int(lengths[0].split(b":")[1]):
                connection.sendall(answer)
                buffer = b""

    return _listen(serve, tls)


def tls_in_front_of(port, tls):
    """The port of a TLS endpoint that passes everything on to `port`."""

    def serve(connection):
        with socket.create_connection(("127.0.0.1", port)) as behind:
            behind.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_pump, args=(behind, connection), daemon=True).start()
            _pump(connection, behind)

    return _listen(serve, tls)


def certificate():
    """A root of our own and a certificate for localhost: an SSL context for servers, and the root's file for clients."""
    folder = SCRATCH / "tls"
    root, chain = folder / "root.pem", folder / "localhost.pem"
    if not chain.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "extensions").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"]
        for command in (
            ["req", "-x509", *curve, "/CN=bench root", "-keyout", "root.key", "-out", root, "-days", "3650"],
            ["req", *curve, "/CN=localhost", "-keyout", "localhost.key", "-out", "localhost.csr"],
            ["x509", "-req", "-in", "localhost.csr", "-CA", root, "-CAkey", "root.key", "-CAcreateserial", "-days", "3650"]
            + ["-extfile", "extensions", "-out", chain],
        ):
            subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, folder / "localhost.key")
    return context, root


def _listen(serve, tls):
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with tls.wrap_socket(connection, server_side=True) if tls else connection as stream:
                serve(stream)
        except OSError:
            pass  # the function was stopped

    def accept():
        while True:
            threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def _pump(source, sink):
    try:
        while received := source.recv(65536):
            sink.sendall(received)
    except OSError:
        pass
