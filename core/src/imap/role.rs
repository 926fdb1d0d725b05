//! [`Role`]: what a folder is for, by attribute (RFC 6154) or by name.

use serde::Serialize;

/// What a folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Where mail arrives.
    Inbox,
    /// Copies of sent mail.
    Sent,
    /// Unsent mail.
    Drafts,
    /// Deleted mail.
    Trash,
    /// Spam.
    Junk,
    /// Kept mail.
    Archive,
    /// Every message.
    All,
    /// Messages marked as important.
    Flagged,
}

impl Role {
    /// One lower-case word, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Role::Inbox => "inbox",
            Role::Sent => "sent",
            Role::Drafts => "drafts",
            Role::Trash => "trash",
            Role::Junk => "junk",
            Role::Archive => "archive",
            Role::All => "all",
            Role::Flagged => "flagged",
        }
    }
}

/// Exchange's default folder names in the languages that mailboxes are commonly set to, and what other servers use.
/// Compared without regard to case.
const NAMES: &[(Role, &[&str])] = &[
    (Role::Inbox, &["INBOX"]),
    (
        Role::Sent,
        &[
            "Sent Items",
            "Sent",
            "Sent Messages",
            "Sent Mail",
            "Gesendete Elemente",
            "Gesendet",
            "Éléments envoyés",
            "Envoyés",
            "Elementos enviados",
            "Enviados",
            "Itens Enviados",
            "Posta inviata",
            "Verzonden items",
            "Sendt post",
            "Sendte elementer",
            "Skickat",
            "Lähetetyt",
            "Elementy wysłane",
            "Odeslaná pošta",
            "Odoslaná pošta",
            "Elküldött elemek",
            "Elemente trimise",
            "Отправленные",
            "Надіслані",
            "Изпратени",
            "Απεσταλμένα",
            "Gönderilmiş Öğeler",
            "送信済みアイテム",
            "已发送邮件",
            "寄件備份",
            "보낸 편지함",
            "פריטים שנשלחו",
            "العناصر المرسلة",
            "Elements enviats",
            "Poslane stavke",
            "Poslano",
        ],
    ),
    (
        Role::Drafts,
        &[
            "Drafts",
            "Draft",
            "Entwürfe",
            "Brouillons",
            "Borradores",
            "Rascunhos",
            "Bozze",
            "Concepten",
            "Kladder",
            "Utkast",
            "Luonnokset",
            "Wersje robocze",
            "Koncepty",
            "Rozpracované",
            "Piszkozatok",
            "Schițe",
            "Ciorne",
            "Черновики",
            "Чернетки",
            "Чернови",
            "Πρόχειρα",
            "Taslaklar",
            "下書き",
            "草稿",
            "임시 보관함",
            "טיוטות",
            "المسودات",
            "Esborranys",
            "Skice",
            "Osnutki",
        ],
    ),
    (
        Role::Trash,
        &[
            "Deleted Items",
            "Deleted",
            "Trash",
            "Deleted Messages",
            "Bin",
            "Gelöschte Elemente",
            "Gelöscht",
            "Papierkorb",
            "Éléments supprimés",
            "Corbeille",
            "Elementos eliminados",
            "Papelera",
            "Itens Excluídos",
            "Itens Eliminados",
            "Posta eliminata",
            "Cestino",
            "Verwijderde items",
            "Slettet post",
            "Slettede elementer",
            "Borttaget",
            "Poistetut",
            "Elementy usunięte",
            "Kosz",
            "Odstraněná pošta",
            "Odstránená pošta",
            "Törölt elemek",
            "Elemente șterse",
            "Удаленные",
            "Видалені",
            "Изтрити",
            "Διαγραμμένα",
            "Silinmiş Öğeler",
            "削除済みアイテム",
            "已删除邮件",
            "刪除的郵件",
            "지운 편지함",
            "פריטים שנמחקו",
            "العناصر المحذوفة",
            "Elements suprimits",
            "Izbrisane stavke",
            "Izbrisano",
        ],
    ),
    (
        Role::Junk,
        &[
            "Junk Email",
            "Junk E-mail",
            "Junk",
            "Spam",
            "Junk-E-Mail",
            "Courrier indésirable",
            "Correo no deseado",
            "Lixo Eletrônico",
            "Lixo Eletrónico",
            "E-mail de Lixo",
            "Posta indesiderata",
            "Ongewenste e-mail",
            "Uønsket mail",
            "Søppelpost",
            "Uønsket e-post",
            "Skräppost",
            "Roskaposti",
            "Wiadomości-śmieci",
            "Nevyžádaná pošta",
            "Nevyžiadaná pošta",
            "Levélszemét",
            "E-mail nedorit",
            "Нежелательная почта",
            "Небажана пошта",
            "Нежелана поща",
            "Ανεπιθύμητη αλληλογραφία",
            "Önemsiz E-posta",
            "迷惑メール",
            "垃圾邮件",
            "垃圾電子郵件",
            "정크 메일",
            "דואר זבל",
            "البريد الإلكتروني غير الهام",
            "Correu brossa",
            "Bezvrijedna e-pošta",
            "Neželena e-pošta",
        ],
    ),
    (
        Role::Archive,
        &[
            "Archive",
            "Archives",
            "Archiv",
            "Archivo",
            "Arquivo Morto",
            "Arquivo",
            "Archivio",
            "Archief",
            "Arkiv",
            "Arkisto",
            "Archiwum",
            "Archív",
            "Archívum",
            "Arhivă",
            "Архив",
            "Архів",
            "Αρχειοθέτηση",
            "Arşiv",
            "アーカイブ",
            "存档",
            "封存",
            "보관",
            "ארכיון",
            "أرشيف",
            "Arxiu",
            "Arhiva",
            "Arhiv",
        ],
    ),
];

impl Role {
    /// By a special-use attribute (RFC 6154 §2) or the `\Inbox` of XLIST's time.
    pub(crate) fn of_attribute(attribute: &str) -> Option<Self> {
        Some(match attribute.to_ascii_lowercase().as_str() {
            "\\inbox" => Role::Inbox,
            "\\sent" => Role::Sent,
            "\\drafts" => Role::Drafts,
            "\\trash" => Role::Trash,
            "\\junk" | "\\spam" => Role::Junk,
            "\\archive" => Role::Archive,
            "\\all" => Role::All,
            "\\flagged" => Role::Flagged,
            _ => return None,
        })
    }

    /// By the name of a folder at the top, or right under INBOX as some servers have them.
    pub(crate) fn of_name(name: &str, delimiter: Option<char>) -> Option<Self> {
        let under_inbox = delimiter.and_then(|delimiter| {
            let (first, rest) = name.split_once(delimiter)?;
            first.eq_ignore_ascii_case("INBOX").then_some(rest)
        });
        let name = under_inbox.unwrap_or(name).to_lowercase();
        let known = NAMES
            .iter()
            .find(|(_, names)| names.iter().any(|known| known.to_lowercase() == name));
        known
            .map(|(role, _)| *role)
            .filter(|role| under_inbox.is_none() || *role != Role::Inbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_languages() {
        for (name, role) in [
            ("sent items", Role::Sent),
            ("ÉLÉMENTS ENVOYÉS", Role::Sent),
            ("Удаленные", Role::Trash),
            ("下書き", Role::Drafts),
            ("Junk-E-Mail", Role::Junk),
            ("INBOX/Archive", Role::Archive),
        ] {
            assert_eq!(Role::of_name(name, Some('/')), Some(role), "{name}");
        }
        for name in ["Calendar", "Projects/Sent Items", "INBOX/INBOX", ""] {
            assert_eq!(Role::of_name(name, Some('/')), None, "{name}");
        }
    }

    #[test]
    fn no_name_has_two_roles() {
        let mut names: Vec<String> = NAMES
            .iter()
            .flat_map(|(_, names)| names.iter().map(|n| n.to_lowercase()))
            .collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
