//! Mangled commands and messages: whatever a client or a sender writes, nothing panics.

use bytes::Bytes;

use super::arguments::{Arguments, Segment};
use super::command::{self, Command};
use super::fetch::FetchItem;
use super::mime::Part;
use super::output::Output;
use super::{address, date, envelope, header, matcher, mutf7, search, structure};
use crate::state::{Flags, Stored};

const COMMANDS: [&str; 9] = [
    "A1 UID FETCH 1:*,3,7:9 (FLAGS UID BODY.PEEK[1.2.HEADER.FIELDS (\"From\" To)]<0.100> BODYSTRUCTURE RFC822.TEXT)",
    "A1 SEARCH CHARSET US-ASCII OR (FROM \"a\\\"b\" SINCE 1-Feb-2024) NOT HEADER X-Y \"v w\" UID 1:* LARGER 10",
    "A1 STORE 1:2 +FLAGS.SILENT (\\Seen $MDNSent Junk)",
    "A1 APPEND \"Entw&APw-rfe\" (\\Draft) \" 7-Feb-1994 21:52:25 -0800\" ",
    "A1 LIST \"\" \"%/a*\"",
    "A1 STATUS INBOX (MESSAGES UIDNEXT)",
    "A1 ID (\"name\" NIL)",
    "A1 AUTHENTICATE XOAUTH2 dXNlcj0=",
    "A1 RENAME \"a b\" ",
];

const MESSAGE: &str = "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nFrom: \"A \\\"B\\\"\" <a@b>, Team: x@y, z@w;\r\n\
Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n folded\r\nContent-Type: multipart/mixed; boundary=\"b;\\\"c\"\r\n\r\n--b;\"c\r\n\
Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8=\r\n--b;\"c\r\n\
Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=\"x\"\r\n\r\nSubject: in\r\n\r\nin\r\n--b;\"c--\r\n";

/// Numbers that look random and are the same in each run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit.max(1)
    }

    /// `text` with some octets changed, cut out, doubled or swapped for ones that mean something.
    fn mangle(&mut self, text: &str) -> Vec<u8> {
        const TELLING: &[u8] = b"(){}[]<>\"\\*%:;,.=-+@& \r\n\0\xff0189";
        let mut octets = text.as_bytes().to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(octets.len());
            match self.below(4) {
                0 if at < octets.len() => octets[at] = TELLING[self.below(TELLING.len())],
                1 => octets.truncate(at),
                2 if at < octets.len() => octets
                    .drain(at..octets.len().min(at + 1 + self.below(9)))
                    .for_each(drop),
                _ => {
                    let end = octets.len().min(at + self.below(40));
                    let piece = octets[at..end].to_vec();
                    let into = self.below(octets.len());
                    octets.splice(into..into, piece);
                }
            }
        }
        octets
    }
}

#[test]
fn commands() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut read = 0;
    for round in 0..20_000 {
        let line = numbers.mangle(COMMANDS[round % COMMANDS.len()]);
        command::head(&line);
        let literal = (numbers.below(2) == 0).then(|| Bytes::from_static(b"x\r\ny"));
        let segments = [
            Segment {
                line: line.clone(),
                literal,
            },
            Segment {
                line: if numbers.below(2) == 0 {
                    Vec::new()
                } else {
                    line[line.len() / 2..].to_vec()
                },
                literal: None,
            },
        ];
        read += usize::from(Command::parse(&segments).is_ok() || Command::parse(&segments[..1]).is_ok());
        if let Ok(text) = std::str::from_utf8(&line) {
            mutf7::decode(text);
            date::parse_day(text);
            date::parse_instant(text);
        }
    }
    // The mangling is mild enough to reach what lies behind the first check.
    assert!(read > 500, "{read}");
}

#[test]
fn messages() {
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let items = |text: &str| {
        let segments = [Segment {
            line: text.as_bytes().to_vec(),
            literal: None,
        }];
        FetchItem::parse_all(&mut Arguments::new(&segments)).unwrap()
    };
    let sections =
        items("(BODY[1] BODY[2.1] BODY[2.HEADER] BODY[1.MIME] BODY[TEXT]<3.9> BODY[HEADER.FIELDS.NOT (TO)])");
    let keys = [Segment {
        line: b"OR TEXT hello OR SENTSINCE 1-Jan-2024 FROM joe".to_vec(),
        literal: None,
    }];
    let key = search::SearchKey::parse_all(&mut Arguments::new(&keys)).unwrap();
    let mut whole = 0;
    for uid in 1..3_000 {
        let raw = Bytes::from(numbers.mangle(MESSAGE));
        let root = Part::parse(&raw);
        whole += usize::from(root.children.len() == 2);
        for extended in [false, true] {
            let mut output = Output::default();
            structure::write(&mut output, &raw, &root, extended, structure::Shape::Correct);
            envelope::write(&mut output, &raw[..header::block_length(&raw)]);
        }
        for item in &sections {
            if let FetchItem::Section(section) = item {
                let octets = section.extract(&raw, Some(&root)).unwrap_or_default();
                assert!(octets.len() <= raw.len() + 2);
            }
        }
        address::parse_list(&raw);
        let stored = Stored {
            uid,
            flags: Flags::NONE,
            internal_date: jiff::Timestamp::UNIX_EPOCH,
            raw,
        };
        let candidates = [matcher::Candidate {
            sequence: 1,
            recent: false,
            stored,
        }];
        key.select(&candidates, matcher::Largest { sequence: 1, uid });
    }
    assert!(whole > 500, "{whole}");
}
