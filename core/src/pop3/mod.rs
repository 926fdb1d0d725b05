//! POP3 client sessions.
