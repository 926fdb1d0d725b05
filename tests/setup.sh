#!/usr/bin/env bash
# Installs what the tests need beside Rust and is missing (Debian, Ubuntu). Fails where something can't be had: a
# missing tool must never become a skipped test.
set -euo pipefail

packages=(build-essential ca-certificates curl procps python3 dovecot-imapd dovecot-pop3d dovecot-lmtpd postfix)

as_root=()
if [[ $(id -u) != 0 ]]; then
    as_root=(sudo --preserve-env=DEBIAN_FRONTEND)
fi

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
    echo "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update --quiet
    # Postfix asks what it is to be; the tests bring a configuration of their own.
    echo "postfix postfix/main_mailer_type select No configuration" | "${as_root[@]}" debconf-set-selections
    "${as_root[@]}" apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
fi

for program in rustc cargo rustfmt cargo-clippy python3 curl dovecot postconf; do
    if ! PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null; then
        echo "error: $program is missing" >&2
        exit 1
    fi
done
