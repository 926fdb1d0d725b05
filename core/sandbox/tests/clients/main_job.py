"""The main job with Python's standard library alone: token, send, read by IMAP and by POP3, bytes compared.

usage: main_job.py SENDER RECIPIENT
"""

import email
import email.policy
import imaplib
import re
import sys
from email.message import EmailMessage

import sandbox

SENDER, RECIPIENT = sys.argv[1:3]
ATTACHMENT = bytes(range(256)) * 4096  # 1 MiB of every octet there is


def check(answer, status="OK"):
    """The data of an imaplib answer, which must have this status."""
    assert answer[0] == status, answer
    return answer[1]


def numbers(answer):
    return [int(number) for number in check(answer)[0].split()]


def uid_set(numbers):
    return ",".join(map(str, numbers))


def compose():
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"] = SENDER, f'"Doe, Zoë" <{RECIPIENT}>'
    message["Subject"], message["Message-ID"] = "Grüße aus Ulm", "<main-job@client.example>"
    message.set_content("Dear Zoë,\n.\n..dots\nbye\n")
    message.add_alternative("<p>Dear Zoë</p>", subtype="html")
    message.add_attachment(ATTACHMENT, maintype="application", subtype="octet-stream", filename="every octet.bin")
    return message


def send(token):
    client = sandbox.smtp_connect()
    code, text = sandbox.smtp_sign_in(client, SENDER, token)
    assert (code, text) == (235, b"2.7.0 Authentication successful"), (code, text)
    raw = compose().as_bytes()
    assert client.sendmail(SENDER, [RECIPIENT], raw) == {}
    # A second mail on the same connection.
    assert client.sendmail(SENDER, [RECIPIENT], b"Subject: second\r\n\r\nsecond\r\n") == {}
    client.quit()
    two_lines = sandbox.smtp_connect()
    assert sandbox.smtp_sign_in(two_lines, SENDER, token, one_line=False)[0] == 235
    two_lines.quit()
    return raw


def sign_in(token, user=RECIPIENT):
    client = sandbox.imap_connect()
    assert b"The Microsoft Exchange IMAP4 service is ready. [" in client.welcome, client.welcome
    before = check(client.capability())[0].decode().split()
    assert "MOVE" not in before and "SASL-IR" in before, before
    sandbox.imap_sign_in(client, user, token)
    after = check(client.capability())[0].decode().split()
    assert "MOVE" in after and "UIDPLUS" in after, after
    return client


def read_imap(token, raw):
    client = sign_in(token)
    assert check(client.namespace()) == [b'(("" "/")) NIL NIL'], "namespace"
    folders = [line.decode() for line in check(client.list())]
    assert any(line.endswith('"/" INBOX') for line in folders), folders
    assert any(line.endswith('"/" "Sent Items"') for line in folders), folders
    assert check(client.select("INBOX")) == [b"2"]
    uids = numbers(client.uid("SEARCH", None, "SUBJECT", '"aus Ulm"', "UNSEEN", "LARGER", "1000000"))
    assert len(uids) == 1, uids
    uid = str(uids[0])

    # The whole message, exactly as it was sent behind what delivery put in front of it.
    fetched = check(client.uid("FETCH", uid, "(BODY.PEEK[] RFC822.SIZE FLAGS)"))
    whole = fetched[0][1]
    assert whole.endswith(raw), "the message was changed on its way"
    assert f"RFC822.SIZE {len(whole)}".encode() in b"".join(fetched[0][:1]) + fetched[1], fetched[1]
    message = email.message_from_bytes(whole, policy=email.policy.default)
    assert message["Subject"] == "Grüße aus Ulm", message["Subject"]
    assert next(message.iter_attachments()).get_payload(decode=True) == ATTACHMENT

    # Pieces of it.
    envelope = check(client.uid("FETCH", uid, "(ENVELOPE)"))[0].decode()
    assert "<main-job@client.example>" in envelope, envelope
    structure = check(client.uid("FETCH", uid, "(BODYSTRUCTURE)"))[0].decode()
    for part in ('"text" "plain"', '"text" "html"', '"alternative"', '"mixed"', '"filename" "every octet.bin"'):
        assert part in structure, structure
    header = check(client.uid("FETCH", uid, "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"))[0][1]
    assert header == b"Message-ID: <main-job@client.example>\r\n\r\n", header
    html = check(client.uid("FETCH", uid, "(BODY.PEEK[1.2])"))[0][1]
    assert b"Dear Zo" in html, html
    encoded = check(client.uid("FETCH", uid, "(BODY.PEEK[2])"))[0][1]
    start = whole.index(encoded)
    pieces, size = b"", 300_000
    while piece := check(client.uid("FETCH", uid, f"(BODY.PEEK[]<{start + len(pieces)}.{size}>)"))[0][1]:
        pieces += piece
    assert pieces.startswith(encoded), "the pieces are not the whole"
    assert numbers(client.uid("SEARCH", None, "SEEN")) == [], "BODY.PEEK marked it read"
    check(client.fetch("1", "(RFC822.TEXT)"))
    assert numbers(client.uid("SEARCH", None, "SEEN")) == [uids[0]], "RFC822.TEXT did not mark it read"
    return client, uid


def change(client, uid):
    """STORE, COPY, MOVE, APPEND, EXPUNGE, folders."""
    flags = check(client.uid("STORE", uid, "+FLAGS", "(\\Flagged $MDNSent NotKept)"))[0].decode()
    assert "\\Flagged" in flags and "$MDNSent" in flags and "NotKept" not in flags, flags
    check(client.create('"Archiv/&ANw-bung"'))
    assert client.create('"Archiv/&ANw-bung"')[0] == "NO"
    check(client.uid("COPY", uid, '"Archiv/&ANw-bung"'))
    code = client.untagged_responses.get("COPYUID") or [b""]
    assert re.fullmatch(rb"\d+ \d+ 1", code[0]), code
    assert client.uid("COPY", uid, "Missing")[0] == "NO"
    assert client.response("TRYCREATE")[1] is not None
    exists = check(client.select("Archiv/&ANw-bung"))
    assert exists == [b"1"], exists
    check(client.uid("MOVE", "1", "Drafts"))
    assert numbers(client.search(None, "ALL")) == []
    assert check(client.status("Drafts", "(MESSAGES UNSEEN UIDNEXT)")) == [b"Drafts (MESSAGES 1 UNSEEN 0 UIDNEXT 2)"]
    raw = b"From: a@b\r\nSubject: appended\r\n\r\n" + bytes(range(1, 128)) + b"\r\n"
    when = imaplib.Time2Internaldate(1_700_000_000)
    check(client.append("Drafts", "(\\Seen \\Draft)", when, raw))
    check(client.select("Drafts"))
    assert numbers(client.search(None, "DRAFT", "ON", "14-Nov-2023")) == [2]
    answer = check(client.fetch("2", "(FLAGS INTERNALDATE BODY.PEEK[])"))
    assert b"\\Seen \\Draft" in answer[0][0] and b"14-Nov-2023 22:13:20 +0000" in answer[0][0], answer[0][0]
    # imaplib turns lone line feeds into CR LF before it appends.
    assert answer[0][1] == imaplib.MapCRLF.sub(imaplib.CRLF, raw), answer[0][1]
    check(client.store("1:2", "+FLAGS.SILENT", "\\Deleted"))
    assert check(client.expunge()) == [b"1", b"1"]
    check(client.close())
    check(client.delete("Archiv/&ANw-bung"))
    assert client.select("Archiv/&ANw-bung")[0] == "NO"
    assert client.delete("INBOX")[0] == "NO"


def texts(client):
    """Exchange's words for what it does not take."""
    check(client.select("INBOX", readonly=True))
    for command, arguments, wanted in [
        ("FETCH", ("1", "()"), "Command Argument Error. 11"),
        ("FETCH", ("x", "(UID)"), "Command Argument Error. 12"),
        ("FETCH", (",".join(["1"] * 6000), "(UID)"), "Command Error. 10"),
        ("FETCH", ("99", "(UID)"), "The specified message set is invalid."),
    ]:
        try:
            status, text = client._simple_command(command, *arguments)
            raise AssertionError((command, status, text))
        except imaplib.IMAP4.error as error:
            assert wanted in str(error), error
    status, text = client.search("UTF-8", "SUBJECT", "x")
    assert (status, text[0]) == ("NO", b"[BADCHARSET (US-ASCII)] The specified charset is not supported."), text
    assert client.store("1", "+FLAGS", "\\Deleted")[0] == "NO"


def idle(token):
    """A mail that comes in while IDLE waits is told at once."""
    client = sign_in(token)
    check(client.select("INBOX"))
    tag = client._new_tag()
    client.send(tag + b" IDLE\r\n")
    assert client.readline() == b"+ IDLE accepted, awaiting DONE command.\r\n"
    smtp = sandbox.smtp_connect()
    sandbox.smtp_sign_in(smtp, SENDER, token)
    smtp.sendmail(SENDER, [RECIPIENT], b"Subject: third\r\n\r\nthird\r\n")
    smtp.quit()
    assert client.readline() == b"* 3 EXISTS\r\n"
    assert client.readline() == b"* 1 RECENT\r\n"
    client.send(b"DONE\r\n")
    assert client.readline() == tag + b" OK IDLE completed.\r\n"
    bye = client.logout()
    assert b"IMAP4 server signing off." in bye[1][0], bye


def read_pop3(token, raw):
    client = sandbox.pop3_connect()
    assert b"+OK" in client.welcome, client.welcome
    capabilities = client.capa()
    assert "XOAUTH2" in capabilities["SASL"] and "UIDL" in capabilities, capabilities
    assert sandbox.pop3_sign_in(client, RECIPIENT, token) == "+OK User successfully authenticated."
    count, octets = client.stat()
    assert count == 3, count
    sizes = [int(line.split()[1]) for line in client.list()[1]]
    assert sum(sizes) == octets and len(sizes) == 3, (sizes, octets)
    uids = [line.split()[1] for line in client.uidl()[1]]
    assert len(set(uids)) == 3, uids
    lines = client.retr(1)[1]
    assert (b"\r\n".join(lines) + b"\r\n").endswith(raw), "POP3 changed the message"
    assert len(client.top(1, 0)[1]) < 40
    client.dele(2)
    client.quit()

    again = sandbox.pop3_connect()
    sandbox.pop3_sign_in(again, RECIPIENT, token)
    left = [line.split()[1] for line in again.uidl()[1]]
    assert left == [uids[0], uids[2]], (uids, left)
    again.quit()


def read_sent_items(token, raw):
    """Submission leaves a copy with the sender."""
    client = sign_in(token, SENDER)
    check(client.select('"Sent Items"', readonly=True))
    sent = numbers(client.search(None, "HEADER", "Message-ID", "main-job"))
    assert len(sent) == 1, sent
    assert check(client.fetch(str(sent[0]), "(BODY.PEEK[])"))[0][1].endswith(raw)
    client.logout()


def starttls(token):
    """The plain port: no sign-in before STARTTLS, all as usual behind it."""
    client = imaplib.IMAP4(*sandbox.address("imap_starttls"), timeout=sandbox.TIMEOUT)
    before = check(client.capability())[0].decode().split()
    assert "LOGINDISABLED" in before and "STARTTLS" in before and not any("AUTH=" in word for word in before), before
    client.starttls(sandbox.TLS)
    # One line this time (SASL-IR).
    check(client._simple_command("AUTHENTICATE", "XOAUTH2", sandbox.encoded(RECIPIENT, token)))
    client.state = "AUTH"
    assert check(client.select("INBOX")) == [b"2"]
    client.logout()


def main():
    token = sandbox.token()
    raw = send(token)
    client, uid = read_imap(token, raw)
    change(client, uid)
    texts(client)
    client.logout()
    idle(token)
    read_pop3(token, raw)
    read_sent_items(token, raw)
    starttls(token)


main()
