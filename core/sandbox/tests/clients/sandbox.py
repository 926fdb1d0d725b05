"""What both scripts need: the sandbox's coordinates, a token, and the sign-in of each protocol.

Only Python's standard library is used, since the point is that clients written by others work.
The sandbox is described by the JSON in the environment variable SANDBOX.
"""

import base64
import imaplib
import json
import os
import poplib
import smtplib
import ssl
import urllib.error
import urllib.parse
import urllib.request

SANDBOX = json.loads(os.environ["SANDBOX"])
TLS = ssl.create_default_context(cafile=SANDBOX["ca_file"])
TIMEOUT = 60


def address(server):
    return SANDBOX[server]["host"], SANDBOX[server]["port"]


def token():
    """A token from the token endpoint, unless the test brought one of its own."""
    if "TOKEN" in os.environ:
        return os.environ["TOKEN"]
    form = {
        "grant_type": "client_credentials",
        "client_id": SANDBOX["client_id"],
        "client_secret": SANDBOX["client_secret"],
        "scope": "https://outlook.office365.com/.default",
    }
    url = f"{SANDBOX['authority']}/{SANDBOX['tenant']}/oauth2/v2.0/token"
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(url, data, timeout=TIMEOUT, context=TLS) as answer:
        granted = json.load(answer)
    assert granted["token_type"] == "Bearer", granted
    assert 3000 < granted["expires_in"] <= 3900, granted
    return granted["access_token"]


def xoauth2(user, access_token):
    return f"user={user}\x01auth=Bearer {access_token}\x01\x01"


def encoded(user, access_token):
    return base64.b64encode(xoauth2(user, access_token).encode()).decode()


def imap_connect():
    return imaplib.IMAP4_SSL(*address("imap"), ssl_context=TLS, timeout=TIMEOUT)


def imap_sign_in(client, user, access_token):
    """Two lines: imaplib waits for the continuation. Gives the tagged answer, or raises its text."""
    return client.authenticate("XOAUTH2", lambda _: xoauth2(user, access_token).encode())


def pop3_connect():
    return poplib.POP3_SSL(*address("pop3"), context=TLS, timeout=TIMEOUT)


def pop3_sign_in(client, user, access_token):
    """Two lines, as Exchange demands; poplib knows no AUTH of its own."""
    challenge = client._shortcmd("AUTH XOAUTH2")
    assert challenge.rstrip() == b"+", challenge
    return client._shortcmd(encoded(user, access_token)).decode()


def smtp_connect():
    client = smtplib.SMTP(*address("smtp"), timeout=TIMEOUT)
    client.ehlo("client.example")
    assert "auth" not in client.esmtp_features, client.esmtp_features
    client.starttls(context=TLS)
    client.ehlo("client.example")
    return client


def smtp_sign_in(client, user, access_token, one_line=True):
    assert "XOAUTH2" in client.esmtp_features["auth"].split(), client.esmtp_features
    return client.auth("XOAUTH2", lambda challenge=None: xoauth2(user, access_token), initial_response_ok=one_line)
