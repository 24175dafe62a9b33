"""The way that Yardarm replaces: Debian's packages configured, and pip run, under QEMU.

    python emulated.py OUTPUT.tar.gz

What the chroot needs to reach the same package index as this machine (resolver, hosts,
certificates) is lent to it.
"""

from __future__ import annotations

import shlex
import ssl
import subprocess
import sys

from yardarm import debian

SUITE = "bookworm"
REQUIREMENTS = ("numpy", "onnxruntime", "psutil", "waitress")


def main(output: str) -> None:
    listed = subprocess.run(
        ["apt-get", "indextargets"], capture_output=True, text=True, check=True
    ).stdout
    certificates = shlex.quote(ssl.get_default_verify_paths().cafile or "/dev/null")
    pip = "env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 PIP_CERT=/tmp/certificates pip install"
    subprocess.run(
        [
            *("mmdebstrap", "--architectures=arm64", "--variant=minbase"),
            "--include=python3,python3-pip,ca-certificates",
            f'--customize-hook=cp /etc/resolv.conf /etc/hosts "$1/etc/"'
            f' && cp {certificates} "$1/tmp/certificates"',
            f'--customize-hook=chroot "$1" {pip} --quiet --no-cache-dir --break-system-packages'
            f" --only-binary :all: {' '.join(REQUIREMENTS)}",
            '--customize-hook=rm "$1/tmp/certificates"',
            *(SUITE, output, "-"),
        ],
        input="\n".join(debian.sources(SUITE, listed)) + "\n",
        text=True,
        check=True,
    )


if __name__ == "__main__":
    main(sys.argv[1])
