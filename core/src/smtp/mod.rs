//! SMTP client sessions.
