//! What stands in the way before any server has spoken: names, ports, certificates.

use super::table::Row;
use crate::error::ErrorKind::{Connect, ConnectionLost, Dns, TimedOut, Tls};
use crate::error::Retry::Backoff;
use crate::error::Step::Client;

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "network-name",
        texts: &[
            "was not found: failed to lookup",
            "failed to lookup address",
            "dns error",
            "name or service not known",
            "could not resolve host",
            "getaddrinfo",
            "nodename nor servname",
            "no such host is known",
        ],
        kind: Some(Dns),
        retry: Backoff,
        step: Some(Client),
        detail: "the server's name was not found",
        hint: "check the host name and the cloud, and that this machine can resolve names of the internet",
        ..Row::ANY
    },
    Row {
        id: "network-port-refused",
        texts: &["connection refused", "actively refused"],
        kind: Some(Connect),
        retry: Backoff,
        step: Some(Client),
        detail: "nothing answers on this port",
        hint: "check host and port (IMAP 993, POP3 995, SMTP 587; Exchange Online has no 465), and let the firewall pass \
               them",
        ..Row::ANY
    },
    Row {
        id: "network-port-blocked",
        texts: &[
            "did not answer within",
            "connection timed out",
            "network is unreachable",
            "no route to host",
        ],
        kind: Some(TimedOut),
        retry: Backoff,
        step: Some(Client),
        detail: "the server can't be reached from here: mostly a firewall, which many clouds and providers have for mail \
                 ports",
        hint: "let the firewall pass outgoing TCP to this host and port (IMAP 993, POP3 995, SMTP 587, HTTPS 443)",
        ..Row::ANY
    },
    Row {
        id: "tls-unknown-ca",
        texts: &[
            "unknownissuer",
            "unknown issuer",
            "self-signed certificate",
            "self signed certificate",
            "unable to get local issuer",
            "certificate_unknown",
            "certificate verify failed",
            "unknown ca",
        ],
        kind: Some(Tls),
        step: Some(Client),
        detail: "the server's certificate is of a CA that this machine does not trust: something between here and \
                 Microsoft opens the TLS connections, or CA certificates are missing",
        hint: "ask the network's administrator to exempt the host from TLS inspection, or trust the proxy's CA with \
               --ca-file; if no proxy is there, install the system's CA certificates (package ca-certificates)",
        ..Row::ANY
    },
    Row {
        id: "tls-name",
        texts: &[
            "notvalidforname",
            "not valid for name",
            "hostname mismatch",
            "doesn't match the host",
        ],
        kind: Some(Tls),
        step: Some(Client),
        detail: "the server's certificate is for another name",
        hint: "connect by the name in the certificate, such as outlook.office365.com; an address or alias of your own does \
               not fit",
        ..Row::ANY
    },
    Row {
        id: "tls-time",
        texts: &[
            "certificate expired",
            "certificate has expired",
            "not valid yet",
            "notvalidyet",
        ],
        kind: Some(Tls),
        step: Some(Client),
        detail: "by this machine's clock the server's certificate is outside its time",
        hint: "set this machine's clock; if it is right, the server's certificate must be renewed",
        ..Row::ANY
    },
    Row {
        id: "network-cut",
        texts: &["connection reset", "broken pipe", "unexpected eof", "closenotify"],
        kind: Some(ConnectionLost),
        retry: Backoff,
        step: None,
        detail: "the connection was cut",
        hint: "connect again; if it happens each time, a firewall or virus scanner on the way may not like the protocol",
        ..Row::ANY
    },
];
