//! IMAP client sessions.
