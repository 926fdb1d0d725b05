//! [`Mailbox`]: the façade for everyday use.

#[cfg(feature = "async-imap")]
mod async_imap;
mod checkpoint;
mod heal;
mod lettre;
mod messages;
mod pool;
mod query;
mod resume;
mod sending;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokio::io::AsyncWrite;
use tokio::sync::OnceCell;

#[cfg(feature = "async-imap")]
pub use self::async_imap::SignedIn;
pub use checkpoint::Checkpoint;
use heal::{Heal, Proven};
pub use messages::Messages;
use pool::{Lease, Pool, Pooled};
pub use query::{MessageQuery, MessageRef};
use resume::Download;
pub use sending::{Part, Sent};
pub use watch::{AfterReset, Watch, WatchEvent};

use crate::app::App;
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::governor::{Governor, Key, Protocol, Turn};
use crate::imap::{Access, Flag, Folder, ImapSession, Role, Selected, Store, Uid, UidSet};
use crate::message::{Message, RawMessage};
use crate::pop3::Pop3Session;
use crate::sasl::Login;
use crate::smtp::SmtpSession;

/// One mailbox of the tenant: send from it, read it.
///
/// It connects when something is asked of it, keeps a few connections for the next call, asks an older one whether it is
/// still alive, and ends those that were idle for a minute. Clones share the connections; any number of tasks may use one
/// at once. It keeps within the [`Limits`](crate::Limits) of the cloud, together with everybody who uses this mailbox in
/// this process: calls wait for their turn, for the minute's mails, and for the pause that a server asked for.
///
/// ```no_run
/// # async fn run(app: exomail::App) -> exomail::Result<()> {
/// use exomail::MessageQuery;
///
/// let mailbox = app.mailbox("joe@example.com")?;
/// let mail = mailbox.compose().to("ann@example.com").subject("Hello").text("Hello, Ann").build()?;
/// mailbox.send(&mail).await?;
///
/// let mut unread = mailbox.messages(MessageQuery::unseen()).await?;
/// while let Some((id, summary)) = unread.next().await? {
///     println!("{}", summary.envelope.subject);
///     mailbox.move_to(&[id], "Archive").await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Mailbox(Arc<Inner>);

/// A mailbox that is kept only as long as somebody uses it.
#[derive(Debug)]
pub(crate) struct WeakMailbox(Weak<Inner>);

impl WeakMailbox {
    pub(crate) fn upgrade(&self) -> Option<Mailbox> {
        self.0.upgrade().map(Mailbox)
    }
}

#[derive(Debug)]
struct Inner {
    app: App,
    login: Login,
    governor: Arc<Governor>,
    proven: Proven,
    imap: Arc<Pool<ImapSession>>,
    smtp: Arc<Pool<SmtpSession>>,
    /// Its name, once it was looked for; `None` where the mailbox has none.
    trash: OnceCell<Option<String>>,
}

impl Mailbox {
    pub(crate) fn new(app: App, login: Login) -> Self {
        let key = Key {
            authority: app.cloud().authority().to_string(),
            tenant: app.tenant().to_owned(),
            mailbox: login.user().to_lowercase(),
        };
        let governor = Governor::of(key, app.cloud().limits());
        Self(Arc::new(Inner {
            app,
            login,
            imap: Pool::new(governor.seats(Protocol::Imap)),
            smtp: Pool::new(governor.seats(Protocol::Smtp)),
            governor,
            proven: Proven::default(),
            trash: OnceCell::new(),
        }))
    }

    pub(crate) fn downgrade(&self) -> WeakMailbox {
        WeakMailbox(Arc::downgrade(&self.0))
    }

    /// The address of the mailbox.
    pub fn address(&self) -> &str {
        self.0.login.user()
    }

    /// The app that opens it.
    pub fn app(&self) -> &App {
        &self.0.app
    }

    // ---- reading ----------------------------------------------------------------------------------------------

    /// The folders, with the role of those that have one.
    ///
    /// # Errors
    /// Whatever connecting and signing in can meet.
    pub async fn folders(&self) -> Result<Vec<Folder>> {
        let mut heal = Heal::new(self, Protocol::Imap);
        loop {
            let folders = async { self.imap_lease().await?.folders().await };
            if let Some(settled) = heal.settle(folders.await).await {
                return settled;
            }
        }
    }

    /// The folder with this role, such as the one for deleted items whatever its name in the mailbox's language.
    ///
    /// # Errors
    /// As [`folders`](Self::folders).
    pub async fn folder_for(&self, role: Role) -> Result<Option<Folder>> {
        Ok(self
            .folders()
            .await?
            .into_iter()
            .find(|folder| folder.role == Some(role)))
    }

    /// Looks for messages. What comes back is pulled one by one or page by page, so a folder of any size is fine.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such folder; whatever connecting and signing in can meet.
    pub async fn messages(&self, query: impl Into<MessageQuery>) -> Result<Messages> {
        let query = query.into();
        let mut heal = Heal::new(self, Protocol::Imap);
        let (mut uids, uid_validity) = loop {
            let found = async {
                let (mut session, selected) = self.selected(&query.folder).await?;
                Ok((session.search(&query.filter).await?, selected.uid_validity))
            };
            if let Some(settled) = heal.settle(found.await).await {
                break settled?;
            }
        };
        if query.newest_first {
            uids.reverse();
        }
        uids.truncate(query.limit);
        Ok(Messages::new(self.clone(), query.folder, uid_validity, uids))
    }

    /// A whole message, parsed, held in memory (Exchange's ceiling for one is 150 MB). It is not marked as read.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is not there any more.
    pub async fn message(&self, id: &MessageRef) -> Result<Message> {
        let mut bytes = Vec::new();
        self.fetch(id, &mut bytes).await?;
        Message::parse(bytes)
    }

    /// Writes a whole message as it is on the server, chunk by chunk, to `sink`. It is not marked as read. Returns the
    /// number of bytes. Where the connection breaks the rest comes over another one: the sink gets no byte twice.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is not there any more; [`ErrorKind::LocalIo`] when the sink fails.
    pub async fn fetch(&self, id: &MessageRef, sink: &mut (impl AsyncWrite + Unpin + Send)) -> Result<u64> {
        let (mut heal, mut download) = (Heal::new(self, Protocol::Imap), Download::default());
        loop {
            let fetched = async {
                let mut session = self.at_once(&id.into(), Some(id.uid())).await?;
                download.run(&mut session, id.uid(), sink).await
            };
            if let Some(settled) = heal.settle(fetched.await).await {
                return settled;
            }
        }
    }

    // ---- changing ---------------------------------------------------------------------------------------------

    /// Sets or removes flags, such as `mark(&ids, Store::Add, &[Flag::Seen])`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when a folder is gone or was rebuilt; [`ErrorKind::Unsupported`] for a keyword that the
    /// server would lose.
    pub async fn mark(&self, ids: &[MessageRef], change: Store, flags: &[Flag]) -> Result<()> {
        for (place, uids) in by_folder(ids) {
            let mut heal = Heal::new(self, Protocol::Imap);
            loop {
                let stored = async {
                    self.at_once(&place, uids.newest())
                        .await?
                        .store(&uids, change, flags)
                        .await
                };
                if let Some(settled) = heal.settle(stored.await).await {
                    break settled?;
                }
            }
        }
        Ok(())
    }

    /// Moves messages to another folder.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when one of the folders is not there.
    pub async fn move_to(&self, ids: &[MessageRef], folder: &str) -> Result<()> {
        for (place, uids) in by_folder(ids) {
            let moved = self.at(&place, uids.newest()).await?.move_to(&uids, folder).await;
            Heal::new(self, Protocol::Imap).last(moved)?;
        }
        Ok(())
    }

    /// Copies messages to another folder.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when one of the folders is not there.
    pub async fn copy_to(&self, ids: &[MessageRef], folder: &str) -> Result<()> {
        for (place, uids) in by_folder(ids) {
            let copied = self.at(&place, uids.newest()).await?.copy(&uids, folder).await;
            Heal::new(self, Protocol::Imap).last(copied)?;
        }
        Ok(())
    }

    /// Deletes messages as a person would: they go to the folder for deleted items; those that are there already, or
    /// all where the mailbox has no such folder, are gone for good.
    ///
    /// # Errors
    /// As [`move_to`](Self::move_to).
    pub async fn delete(&self, ids: &[MessageRef]) -> Result<()> {
        let trash = self.trash().await?;
        for (place, uids) in by_folder(ids) {
            let mut session = self.at(&place, uids.newest()).await?;
            match trash {
                Some(trash) if trash != place.folder => {
                    Heal::new(self, Protocol::Imap).last(session.move_to(&uids, trash).await)?;
                }
                _ => Heal::new(self, Protocol::Imap).last(expunge(&mut session, &uids).await)?,
            }
        }
        Ok(())
    }

    /// Deletes messages for good.
    ///
    /// # Errors
    /// As [`mark`](Self::mark).
    pub async fn delete_forever(&self, ids: &[MessageRef]) -> Result<()> {
        for (place, uids) in by_folder(ids) {
            let expunged = expunge(&mut *self.at(&place, uids.newest()).await?, &uids).await;
            Heal::new(self, Protocol::Imap).last(expunged)?;
        }
        Ok(())
    }

    /// Puts a message into a folder without sending it. Returns which message it became, where the server tells
    /// (Exchange does).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such folder; [`ErrorKind::TooLarge`] when the server does not take
    /// that much.
    pub async fn append(
        &self,
        folder: &str,
        message: RawMessage,
        flags: &[Flag],
    ) -> Result<Option<MessageRef>> {
        let mut session = self.healed_lease().await?;
        let appended = session.append(folder, message, flags, None).await;
        let appended = Heal::new(self, Protocol::Imap).last(appended)?;
        Ok(appended.map(|appended| MessageRef::new(folder, appended.uid_validity, appended.uid)))
    }

    // ---- sessions ---------------------------------------------------------------------------------------------

    /// An IMAP session for the caller alone, outside the mailbox's own connections.
    ///
    /// # Errors
    /// Whatever connecting and signing in can meet.
    pub async fn imap(&self) -> Result<ImapSession> {
        ImapSession::connect(self.0.app.connector(), self.0.app.cloud().imap(), &self.0.login).await
    }

    /// A POP3 session for the caller alone. POP3 sees the inbox only.
    ///
    /// # Errors
    /// Whatever connecting and signing in can meet.
    pub async fn pop3(&self) -> Result<Pop3Session> {
        Pop3Session::connect(self.0.app.connector(), self.0.app.cloud().pop3(), &self.0.login).await
    }

    /// An SMTP session for the caller alone, outside the mailbox's own connections.
    ///
    /// # Errors
    /// Whatever connecting and signing in can meet.
    pub async fn smtp(&self) -> Result<SmtpSession> {
        SmtpSession::connect(self.0.app.connector(), self.0.app.cloud().smtp(), &self.0.login).await
    }

    /// Ends the connections that are idle, politely. The mailbox can still be used: it connects again.
    pub async fn close(&self) {
        tokio::join!(self.0.imap.close(), self.0.smtp.close());
    }

    // ---- leases -----------------------------------------------------------------------------------------------

    /// A session with any folder selected, or none.
    async fn imap_lease(&self) -> Result<Lease<ImapSession>> {
        let turn = self.imap_turn().await?;
        self.0.imap.lease(turn, |_| true, || self.imap()).await
    }

    async fn imap_turn(&self) -> Result<Turn> {
        self.0.governor.pass_hold(Protocol::Imap).await;
        self.0.governor.seats(Protocol::Imap).turn().await
    }

    /// A session with this folder selected, and what the server said of it. Always for writing: one that reads and
    /// one that marks can then use the same session without selecting again, and nothing here marks by reading.
    async fn selected(&self, folder: &str) -> Result<(Lease<ImapSession>, Selected)> {
        let serves = |session: &ImapSession| {
            session
                .selected()
                .is_some_and(|selected| selected.folder == folder)
        };
        let connect = async || {
            let (connector, endpoint) = (self.0.app.connector(), self.0.app.cloud().imap());
            let (session, _) =
                ImapSession::connect_selected(connector, endpoint, &self.0.login, folder, Access::ReadWrite)
                    .await?;
            Ok(session)
        };
        let mut lease = self
            .0
            .imap
            .lease(self.imap_turn().await?, serves, connect)
            .await?;
        let selected = match lease.selected() {
            Some(selected) if selected.folder == folder => selected.clone(),
            _ => lease.select(folder, Access::ReadWrite).await?,
        };
        Ok((lease, selected))
    }

    /// A session that is open, however often it takes: for what must not be repeated itself.
    async fn healed_lease(&self) -> Result<Lease<ImapSession>> {
        let mut heal = Heal::new(self, Protocol::Imap);
        loop {
            if let Some(settled) = heal.settle(self.imap_lease().await).await {
                return settled;
            }
        }
    }

    /// As [`at_once`](Self::at_once), however often it takes: for what must not be repeated itself.
    async fn at(&self, place: &Place<'_>, newest: Option<Uid>) -> Result<Lease<ImapSession>> {
        let mut heal = Heal::new(self, Protocol::Imap);
        loop {
            if let Some(settled) = heal.settle(self.at_once(place, newest).await).await {
                return settled;
            }
        }
    }

    /// A session with the folder of a message selected, if it is still the same folder.
    async fn at_once(&self, place: &Place<'_>, newest: Option<Uid>) -> Result<Lease<ImapSession>> {
        let (mut session, selected) = self.selected(place.folder).await?;
        if selected.uid_validity != place.uid_validity {
            return Err(Error::new(
                ErrorKind::NotFound,
                "SELECT",
                format!(
                    "the folder {:?} was rebuilt: UIDVALIDITY was {}, now it is {}",
                    place.folder, place.uid_validity, selected.uid_validity
                ),
            )
            .with_layer(Layer::Imap)
            .with_hint("list the folder again"));
        }
        // NOOP is when the server tells of messages that came since (RFC 9051 §6.1.2); without it a UID command would pass
        // over them in silence.
        if newest.is_some_and(|newest| !selected.knows(newest)) {
            session.noop().await?;
        }
        Ok(session)
    }

    async fn trash(&self) -> Result<Option<&str>> {
        let trash = self.0.trash.get_or_try_init(async || {
            Ok::<_, Error>(self.folder_for(Role::Trash).await?.map(|folder| folder.name))
        });
        Ok(trash.await?.as_deref())
    }
}

/// A folder as it was when its messages were listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    folder: &'a str,
    uid_validity: u32,
}

impl<'a> From<&'a MessageRef> for Place<'a> {
    fn from(id: &'a MessageRef) -> Self {
        Self {
            folder: id.folder(),
            uid_validity: id.uid_validity(),
        }
    }
}

fn by_folder(ids: &[MessageRef]) -> BTreeMap<Place<'_>, UidSet> {
    let mut places: BTreeMap<Place<'_>, Vec<Uid>> = BTreeMap::new();
    for id in ids {
        places.entry(id.into()).or_default().push(id.uid());
    }
    places
        .into_iter()
        .map(|(place, uids)| (place, uids.into_iter().collect()))
        .collect()
}

async fn expunge(session: &mut ImapSession, uids: &UidSet) -> Result<()> {
    session.store(uids, Store::Add, &[Flag::Deleted]).await?;
    session.uid_expunge(uids).await.map(drop)
}

impl Pooled for ImapSession {
    fn is_spent(&self) -> bool {
        ImapSession::is_spent(self)
    }

    async fn probe(&mut self) -> Result<()> {
        self.noop().await
    }

    async fn end(self) {
        // A server that is gone already needs no farewell.
        let _ = self.logout().await;
    }
}

impl Pooled for SmtpSession {
    fn is_spent(&self) -> bool {
        SmtpSession::is_spent(self)
    }

    async fn probe(&mut self) -> Result<()> {
        self.noop().await
    }

    async fn end(self) {
        let _ = self.quit().await;
    }
}
