"""Reads a JSON list of mails on standard input and writes what the email package sees in each."""

import email
import email.policy
import email.utils
import json
import sys
from email.header import decode_header, make_header


def defects(part):
    found = [repr(defect) for defect in part.defects]
    for value in part.values():
        found += [repr(defect) for defect in getattr(value, "defects", [])]
    return found


def mailboxes(message, name):
    values = message.get_all(name, [])
    assert len(values) < 2, name
    specs = [a.addr_spec for value in values for a in value.addresses]
    # The policy's parser keeps the white space between two encoded words of a phrase, which
    # RFC 2047, section 6.2, says to drop; the older functions drop it.
    raw = [value for key, value in message.raw_items() if key == name]
    names = [name for name, _ in email.utils.getaddresses(raw)]
    assert len(names) == len(specs), (names, specs)
    return [[str(make_header(decode_header(name))), spec] for name, spec in zip(names, specs, strict=True)]


def body(message, kind):
    part = message.get_body((kind,))
    if part is None:
        return None
    return part.get_payload(decode=True).decode(part.get_content_charset())


def read(text):
    message = email.message_from_bytes(text.encode("ascii"), policy=email.policy.SMTP)
    return {
        "headers": message.keys(),
        "from": mailboxes(message, "From"),
        "to": mailboxes(message, "To"),
        "cc": mailboxes(message, "Cc"),
        "bcc": mailboxes(message, "Bcc"),
        "reply_to": mailboxes(message, "Reply-To"),
        "subject": str(message["Subject"]),
        "in_reply_to": str(message["In-Reply-To"] or "").split(),
        "references": str(message["References"] or "").split(),
        "text": body(message, "plain"),
        "html": body(message, "html"),
        "parts": sum(1 for _ in message.walk()),
        "defects": [defect for part in message.walk() for defect in defects(part)],
    }


json.dump([read(text) for text in json.load(sys.stdin)], sys.stdout)
