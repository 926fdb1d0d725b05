//! A name that a file may safely be given.

/// Names that Windows keeps for devices, with or without an extension.
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];
/// File systems take 255 bytes; some room is left for a number or suffix.
const MAX_LENGTH: usize = 200;

/// Makes a file name of what a sender called his attachment: no way out of a folder, nothing hidden, nothing that a
/// screen shows otherwise than it is, no device.
pub(super) fn sanitise(name: &str) -> String {
    let mut clean: String = name
        .chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| if is_unsafe(c) { '_' } else { c })
        .collect();
    // Windows drops dots and blanks at the end, Unix hides what begins with a dot.
    clean.truncate(clean.trim_end_matches(['.', ' ']).len());
    let clean = clean.trim_start_matches([' ', '.']);
    let clean = shorten(clean);
    let stem = clean
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_lowercase();
    let device = RESERVED.iter().any(|reserved| {
        stem.strip_prefix(reserved).is_some_and(|number| match *reserved {
            "com" | "lpt" => {
                matches!(number.chars().next(), Some('0'..='9' | '¹' | '²' | '³'))
                    && number.chars().count() == 1
            }
            _ => number.is_empty(),
        })
    });
    match (clean.is_empty(), device) {
        (true, _) => "attachment".to_owned(),
        (_, true) => format!("_{clean}"),
        _ => clean,
    }
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || r#"/\:*?"<>|"#.contains(c)
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{2044}' | '\u{2215}' | '\u{ff0f}' | '\u{ff3c}'
        )
}

/// Marks that turn the direction of text ("exe.gpj") or show nothing.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
}

/// Cuts the stem, so that the extension stays.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_LENGTH {
        return name.to_owned();
    }
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let extension = if extension.len() <= 16 { extension } else { "" };
    let mut end = MAX_LENGTH - extension.len() - 1;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let stem = name[..end].trim_end_matches(['.', ' ']);
    if extension.is_empty() {
        stem.to_owned()
    } else {
        format!("{stem}.{extension}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_safe() {
        for (name, expected) in [
            ("report.pdf", "report.pdf"),
            ("Grüße an alle.docx", "Grüße an alle.docx"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..\\..\\boot.ini", "_.._boot.ini"),
            ("C:\\x", "C__x"),
            ("/", "_"),
            ("", "attachment"),
            (".", "attachment"),
            ("..", "attachment"),
            (" . . ", "attachment"),
            (".bashrc", "bashrc"),
            ("a\r\nb\0c.txt", "a__b_c.txt"),
            ("x.txt. . .", "x.txt"),
            ("NUL", "_NUL"),
            ("con.txt", "_con.txt"),
            ("Com1.tar.gz", "_Com1.tar.gz"),
            ("lpt².x", "_lpt².x"),
            ("com10", "com10"),
            ("console", "console"),
            ("nul .txt", "_nul .txt"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("a\u{ff0f}b", "a_b"),
            ("\u{200b}\u{feff}", "attachment"),
        ] {
            assert_eq!(sanitise(name), expected, "{name:?}");
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        let name = sanitise(&format!("{}.pdf", "ä".repeat(500)));
        assert!(name.len() <= MAX_LENGTH && name.ends_with("ä.pdf"), "{name}");
        assert!(sanitise(&"x.".repeat(500)).len() <= MAX_LENGTH);
        assert!(sanitise(&format!("a.{}", "y".repeat(500))).len() <= MAX_LENGTH);
    }
}
