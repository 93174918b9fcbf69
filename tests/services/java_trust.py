"""Writes the certificates that this system trusts as a key store of Java: java_trust.py STORE

The form is that of `JKS`, which every Java reads: a list of entries, and a digest over it that is salted with the password.
"""

import hashlib
import ssl
import struct
import sys
import time


def text(value: str) -> bytes:
    return struct.pack(">H", len(value.encode())) + value.encode()


def store(certificates: list[bytes], password: str = "changeit") -> bytes:
    content = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    now_ms = int(time.time() * 1000)
    for number, certificate in enumerate(certificates):
        content += struct.pack(">I", 2) + text(f"authority-{number}") + struct.pack(">Q", now_ms)
        content += text("X.509") + struct.pack(">I", len(certificate)) + certificate
    return content + hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + content).digest()


if __name__ == "__main__":
    trusted = ssl.create_default_context().get_ca_certs(binary_form=True)
    with open(sys.argv[1], "wb") as file:
        file.write(store(trusted))
