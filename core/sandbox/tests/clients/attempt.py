"""Tries to get in by each protocol and prints, as JSON, what the server said. It judges nothing: the test does.

usage: attempt.py USER RECIPIENT
"""

import base64
import imaplib
import json
import poplib
import smtplib
import sys

import sandbox

USER, RECIPIENT = sys.argv[1:3]


def imap(token):
    """The texts of sign-in, of two commands behind it, and of the closing line if there is one."""
    client = sandbox.imap_connect()
    said = {"greeting": client.welcome.decode()}
    try:
        status, texts = sandbox.imap_sign_in(client, USER, token)
        said["authenticate"] = f"{status} {texts[-1].decode()}"
    except imaplib.IMAP4.error as error:
        said["authenticate"] = f"NO {error}" if "failed" in str(error) else str(error)
        # The connection stays open after a refusal; a stray empty line is answered, not borne.
        client.send(b"\r\n")
        said["stray"] = client.readline().decode().rstrip()
        said["noop"] = client.noop()[0]
        client.logout()
        return said
    said["commands"] = []
    for command in (client.namespace, client.select):
        try:
            status, texts = command()
            said["commands"].append(f"{status} {texts[-1].decode()}")
        except imaplib.IMAP4.error as error:
            said["commands"].append(str(error))
    if "BAD" in said["commands"][-1]:
        said["bye"] = client.readline().decode().rstrip()
    client.shutdown()
    return said


def pop3(token):
    client = sandbox.pop3_connect()
    try:
        return sandbox.pop3_sign_in(client, USER, token)
    except poplib.error_proto as error:
        return error.args[0].decode()
    finally:
        client.close()


def pop3_one_line(token):
    """What a client that ignores Exchange's two-line rule meets: the text, then a closed socket."""
    client = sandbox.pop3_connect()
    try:
        return client._shortcmd(f"AUTH XOAUTH2 {sandbox.encoded(USER, token)}").decode()
    except poplib.error_proto as error:
        assert client.file.readline() == b"", "the connection is still open"
        return error.args[0].decode()
    finally:
        client.close()


def smtp(token):
    client = sandbox.smtp_connect()
    said = {}
    try:
        try:
            code, text = sandbox.smtp_sign_in(client, USER, token)
        except smtplib.SMTPAuthenticationError as error:
            return {"auth": f"{error.smtp_code} {error.smtp_error.decode()}"}
        said["auth"] = f"{code} {text.decode()}"
        try:
            mail = f"From: {USER}\r\nTo: {RECIPIENT}\r\nSubject: try\r\n\r\ntry\r\n"
            refused = client.sendmail(USER, [RECIPIENT], mail)
            assert refused == {}, refused
            said["mail"] = "sent"
        except smtplib.SMTPDataError as error:
            said["mail"] = f"{error.smtp_code} {error.smtp_error.decode()}"
        return said
    finally:
        client.close()


def imap_login():
    """A password is never taken."""
    client = sandbox.imap_connect()
    try:
        client.login(USER, "password")
        return "OK"
    except imaplib.IMAP4.error as error:
        return error.args[0].decode()
    finally:
        client.shutdown()


def main():
    token = sandbox.token()
    said = {
        "imap": imap(token),
        "imap_login": imap_login(),
        "pop3": pop3(token),
        "pop3_one_line": pop3_one_line(token),
        "smtp": smtp(token),
    }
    parts = token.split(".")
    if len(parts) == 3:
        claims = parts[1] + "=" * (-len(parts[1]) % 4)
        said["claims"] = json.loads(base64.urlsafe_b64decode(claims))
    json.dump(said, sys.stdout)


main()
