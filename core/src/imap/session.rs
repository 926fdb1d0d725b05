//! [`ImapSession`]: the callers' handle.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::append::Measured;
use super::command::Command;
use super::engine::{ImapEngine, View};
use super::fetch::{CHUNKS, not_found};
use super::flag::write_flags;
use super::folder::assign_roles;
use super::mailbox_name;
use super::response::Untagged;
use super::sign_in::{self, Open, settle_select};
use super::{
    Access, AppendUid, Bodies, BodyEvent, Capabilities, CopyUid, Flag, Folder, FolderStatus, IdleOutcome,
    Query, Section, Selected, Store, Summary, Uid, UidSet,
};
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::message::RawMessage;
use crate::net::{Actor, Connector, Endpoint, Job, Pull};
use crate::sasl::Login;

/// Folders of one LIST that are kept, and bytes of their names and attributes: a name may be a literal of a megabyte.
const MAX_FOLDERS: usize = 50_000;
const MAX_LIST: usize = 16 << 20;

/// An IMAP session that is signed in to one mailbox.
///
/// A refusal (NO, BAD) leaves the session usable. A call that is cut, or a connection that breaks, spends it: open a
/// new one. UIDs outlive the session as long as [`Selected::uid_validity`] stays the same.
///
/// ```no_run
/// # async fn example(app_login: exomail::sasl::Login) -> exomail::Result<()> {
/// use exomail::imap::{Access, ImapSession, Query, Section};
/// use exomail::{Connector, Endpoint, Tls};
///
/// let connector = Connector::new(Tls::system()?);
/// let server = Endpoint::implicit_tls("outlook.office365.com", 993);
/// let (mut session, inbox) =
///     ImapSession::connect_selected(&connector, &server, &app_login, "INBOX", Access::ReadOnly).await?;
/// println!("{} messages", inbox.exists);
/// for uid in session.search(&Query::all().unseen()).await? {
///     let mut message = Vec::new();
///     session.fetch(uid, &Section::whole(), &mut message).await?;
/// }
/// session.logout().await
/// # }
/// ```
pub struct ImapSession {
    actor: Actor<ImapEngine>,
    view: View,
}

impl ImapSession {
    /// Connects and signs in; the token is fetched meanwhile. Two flights behind the greeting: Exchange is asked for its
    /// capabilities and then sent all the rest at once; other servers tell theirs in the greeting and must give their
    /// verdict before anything may follow the login. One more where the server wants the login in two steps.
    ///
    /// # Errors
    /// Those of the token, the network and TLS; [`ErrorKind::AuthRejected`], [`ErrorKind::MailboxUnavailable`] or
    /// [`ErrorKind::ProtocolDisabled`] with the server's words.
    pub async fn connect(connector: &Connector, endpoint: &Endpoint, login: &Login) -> Result<Self> {
        Self::open(connector, endpoint, login, None).await
    }

    /// As [`connect`](Self::connect), and opens a folder in the same flight.
    ///
    /// # Errors
    /// As [`connect`](Self::connect) and [`select`](Self::select).
    pub async fn connect_selected(
        connector: &Connector,
        endpoint: &Endpoint,
        login: &Login,
        folder: &str,
        access: Access,
    ) -> Result<(Self, Selected)> {
        let session = Self::open(connector, endpoint, login, Some((folder, access))).await?;
        let selected = session.view.selected.clone().unwrap_or_default();
        Ok((session, selected))
    }

    async fn open(connector: &Connector, endpoint: &Endpoint, login: &Login, open: Open<'_>) -> Result<Self> {
        let engine = sign_in::connect(connector, endpoint, login, open).await?;
        Ok(Self {
            view: engine.view(),
            actor: Actor::spawn(engine),
        })
    }

    /// What the server says it can do for a client that has signed in.
    pub fn capabilities(&self) -> &Capabilities {
        &self.view.capabilities
    }

    /// Turns from writing to waiting so far, those of signing in among them.
    pub fn flights(&self) -> u64 {
        self.view.flights
    }

    /// Whether later calls can only fail.
    pub fn is_spent(&self) -> bool {
        self.actor.is_spent()
    }

    /// The open folder, as far as the server has told by the end of the last call.
    pub fn selected(&self) -> Option<&Selected> {
        self.view.selected.as_ref()
    }

    /// Runs a job on the engine and takes over what it has learned.
    async fn run<T, F>(&mut self, name: &'static str, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut ImapEngine) -> Job<'a, T> + Send + 'static,
    {
        let (result, view) = call(&self.actor, name, job).await?;
        self.view = view;
        result
    }

    /// Every folder, with its role where attributes or name tell one.
    ///
    /// # Errors
    /// The server's refusal, or those of the connection.
    pub async fn folders(&mut self) -> Result<Vec<Folder>> {
        self.run("LIST", |engine| {
            Box::pin(async move {
                let (mut folders, mut bytes) = (Vec::new(), 0);
                let mut collect = |data: Untagged| {
                    if let Untagged::List {
                        attributes,
                        delimiter,
                        name,
                    } = data
                        && folders.len() < MAX_FOLDERS
                    {
                        bytes += name.len() + attributes.iter().map(String::len).sum::<usize>();
                        if bytes > MAX_LIST {
                            return;
                        }
                        folders.push(Folder::read(attributes, delimiter, &name));
                    }
                };
                let command = Command::new("LIST").raw("\"\" \"*\"");
                engine.run(&command, ErrorKind::Rejected, &mut collect).await?;
                assign_roles(&mut folders);
                Ok(folders)
            })
        })
        .await
    }

    /// A folder's counts, without opening it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this name.
    pub async fn status(&mut self, folder: &str) -> Result<FolderStatus> {
        let command = Command::new("STATUS").folder(folder)?.raw(FolderStatus::ITEMS);
        let wire_name = mailbox_name::encode(folder)?;
        self.run("STATUS", move |engine| {
            Box::pin(async move {
                let mut status = None;
                let mut collect = |data: Untagged| {
                    if let Untagged::Counts { name, items } = data
                        && (status.is_none() || name.eq_ignore_ascii_case(wire_name.as_bytes()))
                    {
                        status = Some(FolderStatus::read(&items));
                    }
                };
                engine.run(&command, ErrorKind::NotFound, &mut collect).await?;
                status.ok_or_else(|| {
                    Error::new(ErrorKind::Protocol, "STATUS", "the server answers without counts")
                        .with_layer(Layer::Imap)
                })
            })
        })
        .await
    }

    /// Opens a folder; the one that was open is closed, without expunging.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this name; no folder is open then.
    pub async fn select(&mut self, folder: &str, access: Access) -> Result<Selected> {
        let command = Command::new(access.command()).folder(folder)?;
        let folder = folder.to_owned();
        self.run(command.name, move |engine| {
            Box::pin(async move {
                engine.selected = Some(Selected::new(&folder, access));
                let tag = engine.issue(&command).await?;
                let status = engine.status(tag, command.name, &mut |_| {}).await?;
                settle_select(engine, command.name, &status)
            })
        })
        .await
    }

    /// The UIDs of the messages for which the query holds, in ascending order. Mail that came in since the last call is
    /// among them: where the server might hold it back, a NOOP travels in front.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for texts that can't be sent; [`ErrorKind::Unsupported`] when the server can't
    /// search for text outside US-ASCII, as Exchange.
    pub async fn search(&mut self, query: &Query) -> Result<Vec<Uid>> {
        let query = query.clone();
        self.run("UID SEARCH", move |engine| {
            Box::pin(async move { engine.search(&query).await })
        })
        .await
    }

    /// The messages of the set without their bodies, by ascending UID. Those that are gone are left out; an empty set
    /// asks nothing.
    ///
    /// # Errors
    /// The server's refusal, or those of the connection.
    pub async fn summaries(&mut self, set: &UidSet) -> Result<Vec<Summary>> {
        let set = set.clone();
        self.run("UID FETCH", move |engine| {
            Box::pin(async move { engine.summaries(&set).await })
        })
        .await
    }

    /// Writes a message, or the section of it, to `sink` as it arrives; returns how many bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such message or part, and the session goes on. [`ErrorKind::LocalIo`]
    /// when the sink fails, and those of the connection: the session is then spent and `sink` may hold a part.
    pub async fn fetch(
        &mut self,
        uid: Uid,
        section: &Section,
        sink: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<u64> {
        let failed = |error: std::io::Error| {
            Error::new(
                ErrorKind::LocalIo,
                "UID FETCH",
                format!("the message can't be written: {error}"),
            )
            .with_source(error)
        };
        let (mut complete, mut written) = (false, 0);
        let mut bodies = self.fetch_many(&UidSet::from(uid), section);
        while let Some(event) = bodies.next().await? {
            match event {
                // A server that sends it once more does not get it into the sink twice.
                BodyEvent::Chunk(chunk) if !complete => {
                    sink.write_all(&chunk).await.map_err(failed)?;
                    written += chunk.len() as u64;
                }
                BodyEvent::End { .. } => complete = true,
                BodyEvent::Begin { .. } | BodyEvent::Chunk(_) => {}
            }
        }
        sink.flush().await.map_err(failed)?;
        if complete {
            Ok(written)
        } else {
            Err(not_found(uid))
        }
    }

    /// Asks for the bodies of many messages, or for a section of each: one flight for hundreds. Those that are gone do
    /// not come; an empty set asks nothing.
    ///
    /// ```no_run
    /// # async fn example(session: &mut exomail::imap::ImapSession) -> exomail::Result<()> {
    /// use exomail::imap::{BodyEvent, Section};
    ///
    /// let mut bodies = session.fetch_many(&"1:100".parse()?, &Section::whole());
    /// while let Some(event) = bodies.next().await? {
    ///     match event {
    ///         BodyEvent::Begin { uid, size } => println!("{uid}: {size} bytes"),
    ///         BodyEvent::Chunk(bytes) => println!("  {} more", bytes.len()),
    ///         BodyEvent::End { uid } => println!("{uid} is complete"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn fetch_many(&mut self, set: &UidSet, section: &Section) -> Bodies<'_> {
        let (set, section) = (set.clone(), section.clone());
        let (sender, events) = mpsc::channel(CHUNKS);
        let Self { actor, view } = self;
        let job = async move {
            let job = call(actor, "UID FETCH", move |engine| {
                Box::pin(async move { engine.bodies(&set, &section, &sender).await })
            });
            let (result, seen) = job.await?;
            *view = seen;
            result
        };
        Bodies(Pull::new(job, events))
    }

    /// Changes the flags of messages. An empty set asks nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a keyword that the folder does not keep: Exchange keeps none.
    pub async fn store(&mut self, set: &UidSet, how: Store, flags: &[Flag]) -> Result<()> {
        let (set, flags) = (set.clone(), flags.to_vec());
        self.run("UID STORE", move |engine| {
            Box::pin(async move { engine.store(&set, how, &flags).await })
        })
        .await
    }

    /// Copies messages to another folder. Returns their new UIDs, where the server tells them.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such folder.
    pub async fn copy(&mut self, set: &UidSet, folder: &str) -> Result<Option<CopyUid>> {
        let (set, folder) = (set.clone(), folder.to_owned());
        self.run("UID COPY", move |engine| {
            Box::pin(async move { engine.copy(&set, &folder).await })
        })
        .await
    }

    /// Moves messages to another folder. Returns their new UIDs, where the server tells them. Where it has no MOVE,
    /// they are copied, marked and expunged.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such folder; [`ErrorKind::Unsupported`] when messages of others would
    /// be expunged too.
    pub async fn move_to(&mut self, set: &UidSet, folder: &str) -> Result<Option<CopyUid>> {
        let (set, folder) = (set.clone(), folder.to_owned());
        self.run("UID MOVE", move |engine| {
            Box::pin(async move { engine.move_to(&set, &folder).await })
        })
        .await
    }

    /// Removes every message marked as deleted, whoever marked it; returns how many.
    ///
    /// # Errors
    /// The server's refusal, or those of the connection.
    pub async fn expunge(&mut self) -> Result<u32> {
        self.run("EXPUNGE", |engine| Box::pin(engine.expunge())).await
    }

    /// Removes those messages of the set that are marked as deleted; returns how many.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the server has no UIDPLUS.
    pub async fn uid_expunge(&mut self, set: &UidSet) -> Result<u32> {
        let set = set.clone();
        self.run("UID EXPUNGE", move |engine| {
            Box::pin(async move { engine.uid_expunge(&set).await })
        })
        .await
    }

    /// Puts a message into a folder, with these flags and this arrival date (now, without one). Returns its UID, where
    /// the server tells it. A file is read twice, and a reader without end in sight goes to a temporary file: the
    /// length comes first.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such folder, [`ErrorKind::TooLarge`], [`ErrorKind::QuotaExceeded`];
    /// [`ErrorKind::LocalIo`] when the message can't be read; [`ErrorKind::OutcomeUnknown`] when the connection broke
    /// behind the message and before the answer.
    pub async fn append(
        &mut self,
        folder: &str,
        message: RawMessage,
        flags: &[Flag],
        date: Option<Timestamp>,
    ) -> Result<Option<AppendUid>> {
        // All that can go wrong on this side goes wrong here, where nothing has been said yet.
        mailbox_name::encode(folder)?;
        write_flags(flags)?;
        let message = Measured::new(message).await?;
        let (folder, flags) = (folder.to_owned(), flags.to_vec());
        self.run("APPEND", move |engine| {
            Box::pin(async move { engine.append(&folder, message, &flags, date).await })
        })
        .await
    }

    /// Waits until something happens in the open folder, at most for `max` and never over 29 minutes: then call it
    /// again. Dropping the future spends the session.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the server has no IDLE.
    pub async fn idle(&mut self, max: Duration) -> Result<IdleOutcome> {
        self.run("IDLE", move |engine| Box::pin(engine.idle(max))).await
    }

    /// What the server says of itself (RFC 2971), as names and values; this library names itself too.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the server has no ID.
    pub async fn id(&mut self) -> Result<Vec<(String, String)>> {
        self.run("ID", |engine| {
            Box::pin(async move {
                engine.require("ID", "ID")?;
                let mut id = Vec::new();
                let mut collect = |data: Untagged| {
                    if let Untagged::Id(pairs) = data {
                        id = pairs;
                    }
                };
                let command = Command::new("ID").raw(concat!(
                    "(\"name\" \"exomail\" \"version\" \"",
                    env!("CARGO_PKG_VERSION"),
                    "\")"
                ));
                engine.run(&command, ErrorKind::Rejected, &mut collect).await?;
                Ok(id)
            })
        })
        .await
    }

    /// Asks for a sign of life, and for news of the open folder: see [`selected`](Self::selected).
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn noop(&mut self) -> Result<()> {
        self.simple(Command::new("NOOP"), ErrorKind::Rejected).await
    }

    /// Makes a folder. Its levels are separated by [`Folder::delimiter`].
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] when there is one already, or the name is not allowed.
    pub async fn create_folder(&mut self, name: &str) -> Result<()> {
        self.simple(Command::new("CREATE").folder(name)?, ErrorKind::Rejected)
            .await
    }

    /// Deletes a folder and the messages in it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none; [`ErrorKind::Rejected`] when it must stay.
    pub async fn delete_folder(&mut self, name: &str) -> Result<()> {
        self.simple(Command::new("DELETE").folder(name)?, ErrorKind::Rejected)
            .await
    }

    /// Adds a folder to those that mail programs show.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none.
    pub async fn subscribe_folder(&mut self, name: &str) -> Result<()> {
        self.simple(Command::new("SUBSCRIBE").folder(name)?, ErrorKind::Rejected)
            .await
    }

    async fn simple(&mut self, command: Command, fallback: ErrorKind) -> Result<()> {
        self.run(command.name, move |engine| {
            Box::pin(async move { engine.run(&command, fallback, &mut |_| {}).await.map(drop) })
        })
        .await
    }

    /// The signed-in connection itself, for another client; this session ends.
    #[cfg(feature = "async-imap")]
    pub(crate) async fn into_stream(mut self) -> Result<Box<dyn crate::net::Stream>> {
        self.run("hand over", |engine| {
            Box::pin(async move { engine.wire.hand_over("hand over") })
        })
        .await
    }

    /// Ends the session politely.
    ///
    /// # Errors
    /// [`ErrorKind::State`] when the session was spent before. A server that hangs up without an answer is no error.
    pub async fn logout(mut self) -> Result<()> {
        self.run("LOGOUT", |engine| {
            Box::pin(async move {
                engine.leaving = true;
                // Whatever the answer, the connection ends here.
                let _ = engine
                    .run(&Command::new("LOGOUT"), ErrorKind::Rejected, &mut |_| {})
                    .await;
                engine.wire.close().await;
                Ok(())
            })
        })
        .await
    }
}

/// Runs a job, and brings back what the engine knows afterwards, whichever way the job ended.
async fn call<T, F>(actor: &Actor<ImapEngine>, name: &'static str, job: F) -> Result<(Result<T>, View)>
where
    T: Send + 'static,
    F: for<'a> FnOnce(&'a mut ImapEngine) -> Job<'a, T> + Send + 'static,
{
    let job = actor.call(name, move |engine| {
        Box::pin(async move {
            let result = job(engine).await;
            Ok((result, engine.view()))
        })
    });
    job.await
}

impl fmt::Debug for ImapSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImapSession")
            .field(
                "selected",
                &self.view.selected.as_ref().map(|selected| &selected.folder),
            )
            .field("flights", &self.view.flights)
            .field("spent", &self.is_spent())
            .finish_non_exhaustive()
    }
}
