//! What goes wrong on demand: the names, how they are written, and which of them are on.
//!
//! A server asks at a few points whether something is on: `mail::conn` before it sends, the token endpoint before it
//! grants, a session before it runs a command, SMTP at the end of the data. Faults that *strike* can be limited to a
//! number of times; the others *last* for as long as they are on.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// How a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Hits one request, command, message or connection at a time, and is counted.
    Strikes,
    /// Changes how a server behaves.
    Lasts,
}

/// What there is to say of a fault.
struct Row {
    name: &'static str,
    /// Unit and default of its argument: one, or none.
    argument: &'static [(&'static str, u64)],
    kind: Kind,
    about: &'static str,
}

macro_rules! faults {
    ($($variant:ident = $name:literal [$($unit:ident $default:literal)?] $kind:ident $about:literal;)*) => {
        /// Something that goes wrong, or a way in which servers of Exchange differ from each other.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $(#[doc = $about] $variant,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        name: $name,
                        argument: &[$((stringify!($unit), $default))?],
                        kind: Kind::$kind,
                        about: $about,
                    },)*
                }
            }
        }
    };
}

faults! {
    // Any mail connection.
    Reset = "reset-after" [OCTETS 1024] Strikes
        "A connection is cut by a TCP reset when this many octets were sent on it (under TLS, TLS's own not counted).";
    Silence = "silence" [] Strikes
        "A connection stays open, and nothing more comes.";
    Drip = "drip" [MILLISECONDS 10] Lasts
        "Octets are sent one by one, with this pause behind each.";
    // Entra.
    TokenThrottled = "token-throttled" [SECONDS 5] Strikes
        "The token endpoint answers 429 with this `Retry-After`.";
    TokenUnavailable = "token-unavailable" [] Strikes
        "The token endpoint answers 503.";
    TokenLength = "token-length" [CHARACTERS 4200] Lasts
        "Tokens are padded to at least this length; POP3 refuses those beyond 4096.";
    PermissionDelay = "permission-delay" [SECONDS 300] Lasts
        "FullAccess, SendAs, roles and service principals that are granted or taken away from now on count only after this time.";
    // Microsoft Graph.
    GraphThrottled = "graph-throttled" [SECONDS 2] Strikes
        "Microsoft Graph answers 429 with this `Retry-After`.";
    GraphUnavailable = "graph-unavailable" [] Strikes
        "Microsoft Graph answers 503.";
    GraphNoBackingApplication = "graph-no-backing-application" [] Strikes
        "A service principal is refused with 400 `NoBackingApplicationObject`, as right after its application was made.";
    GraphNotInLocalTenant = "graph-not-in-local-tenant" [] Strikes
        "A service principal is refused with 403 `… must be in the local tenant`, for the same reason in another place.";
    GraphNotReplicated = "graph-not-replicated" [] Strikes
        "What names an object by its id is answered with 404 `Request_ResourceNotFound`.";
    GraphCredentialPolicy = "graph-credential-policy" [] Strikes
        "A secret or certificate is refused with 400 `Credential type not allowed as per assigned policy.`";
    // Exchange's cmdlets.
    CmdletThrottled = "cmdlet-throttled" [SECONDS 5] Strikes
        "InvokeCommand answers 429 with this `Retry-After`.";
    CmdletUnavailable = "cmdlet-unavailable" [] Strikes
        "InvokeCommand answers 503.";
    CmdletUnauthorized = "cmdlet-unauthorized" [] Strikes
        "InvokeCommand answers 401 to a good token, as for some minutes after a role was given.";
    CmdletForbidden = "cmdlet-forbidden" [] Strikes
        "InvokeCommand answers 403 with a blank body that is falsely called gzip.";
    CmdletRedirect = "cmdlet-redirect" [STATUS 307] Strikes
        "InvokeCommand sends to a regional path by this status: 302, 307 or 308.";
    CmdletNotDelegating = "cmdlet-not-delegating" [] Strikes
        "New-ManagementRoleAssignment: `You must be assigned a delegating role assignment …`, as after Enable-OrganizationCustomization.";
    // IMAP. Those that strike hit commands that need the open mailbox.
    ImapThrottled = "imap-throttled" [MILLISECONDS 5000] Strikes
        "`BAD Request is throttled. Suggested Backoff Time: n milliseconds`.";
    ImapUnavailable = "imap-unavailable" [] Strikes
        "`NO Server Unavailable. 15`.";
    ImapUnavailableBare = "imap-unavailable-bare" [] Strikes
        "`Server Unavailable. 15` without a tag, and no other answer; the connection stays open.";
    ImapBye = "imap-bye" [] Strikes
        "`* BYE Connection closed. 14` instead of an answer, or at once in IDLE.";
    ImapExpired = "imap-expired" [] Strikes
        "`BAD Session invalidated - AccessTokenExpired`, and the connection is closed.";
    ImapExpiredInIdle = "imap-expired-in-idle" [] Strikes
        "`* BYE Session invalidated - AccessTokenExpired` in IDLE.";
    ImapExpiredInFetch = "imap-expired-in-fetch" [MESSAGES 1] Strikes
        "A FETCH ends behind so many messages with `BAD Session invalidated - AccessTokenExpired`, and the connection is closed.";
    ImapByeInFetch = "imap-bye-in-fetch" [MESSAGES 1] Strikes
        "A FETCH ends behind so many messages with `* BYE Session invalidated - AccessTokenExpired` and no tagged line.";
    ImapQuotedCodes = "imap-quoted-codes" [] Lasts
        "Tagged OK and NO lines have response codes with quoted values, which IMAP's grammar forbids.";
    ImapExtraNil = "imap-structure-extra-nil" [] Lasts
        "BODYSTRUCTURE has a NIL too many behind the basic fields of each part.";
    ImapMissingParts = "imap-structure-missing-parts" [] Lasts
        "BODYSTRUCTURE leaves out the parts of a multipart.";
    ImapSpecialUse = "imap-special-use" [] Lasts
        "LIST shows what folders are for (`\\Sent`, `\\Trash`, …), as it does on some mailboxes.";
    ImapDisabledPlainOk = "imap-disabled-plain-ok" [] Lasts
        "Where IMAP is switched off, AUTHENTICATE is answered with a plain OK and not with `OK [Error=\"UserDisabled\" …]`.";
    // POP3.
    Pop3Unavailable = "pop3-unavailable" [] Strikes
        "`-ERR Server Unavailable. 21` at the sign-in, and the connection is closed.";
    Pop3Expired = "pop3-expired" [] Strikes
        "`-ERR Session invalidated - AccessTokenExpired` behind the sign-in, and the connection is closed.";
    Pop3Pipelining = "pop3-pipelining" [] Lasts
        "CAPA lists PIPELINING, which Exchange's does not.";
    ModernFrontEnd = "modern-front-end" [] Lasts
        "Greetings and capabilities of the newer front ends: POP3 with `tcpproxy` and without USER, IMAP with LOGINDISABLED and without AUTH=PLAIN.";
    // SMTP.
    Smtp421 = "smtp-421" [] Strikes
        "`421 4.3.2 Service not available` to a command behind the sign-in, and the connection is closed.";
    Smtp430 = "smtp-430" [] Strikes
        "`430 4.2.0 STOREDRV; mailbox logon failure; …` at the end of the data.";
    Smtp432 = "smtp-432" [] Strikes
        "`432 4.3.2 Concurrent connections limit exceeded. …` at the end of the data, however few there are.";
    SmtpCutStored = "smtp-cut-stored" [] Strikes
        "The message is stored, and the connection is cut instead of an answer to the end of the data.";
    SmtpCutLost = "smtp-cut-lost" [] Strikes
        "The connection is cut instead of an answer to the end of the data, and the message is not stored.";
    SmtpConnections = "smtp-connections" [COUNT 3] Lasts
        "How many connections a mailbox may send on at a time; on others the end of the data is refused with 432. 0: any number.";
    SmtpRate = "smtp-rate" [MESSAGES 30] Lasts
        "How many messages a minute a mailbox may send; the answer to others is delayed. 0: any number.";
    SmtpRefuseAtAuth = "smtp-refuse-at-auth" [] Lasts
        "A mailbox that cannot be opened is refused with 535 at AUTH, and not with 430 at the end of the data.";
}

impl Fault {
    /// Its name, as in `exomail sandbox --fault NAME`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// What it does, in a sentence.
    pub const fn about(self) -> &'static str {
        self.row().about
    }

    /// The argument that counts where none is given; `None` if it takes none.
    pub fn default_argument(self) -> Option<u64> {
        self.row().argument.first().map(|(_, default)| *default)
    }

    /// How it is written: `imap-throttled[:MILLISECONDS][:TIMES]`.
    pub fn usage(self) -> String {
        let mut usage = self.name().to_owned();
        for (unit, _) in self.row().argument {
            usage += &format!("[:{unit}]");
        }
        if self.row().kind == Kind::Strikes {
            usage += "[:TIMES]";
        }
        usage
    }

    /// With this argument instead of the default one. A fault that takes none ignores it.
    pub fn with(self, argument: u64) -> FaultSwitch {
        FaultSwitch::from(self).with(argument)
    }

    /// So many times, and then no more. A fault that lasts ignores it.
    pub fn times(self, times: u32) -> FaultSwitch {
        FaultSwitch::from(self).times(times)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault as it is switched on: with its argument, and how many times it is to strike.
///
/// As text: `name[:argument][:times]`.
///
/// ```
/// use exomail_sandbox::{Fault, FaultSwitch};
///
/// let throttled: FaultSwitch = "imap-throttled:1500:2".parse()?;
/// assert_eq!(throttled, Fault::ImapThrottled.with(1500).times(2));
/// assert_eq!("smtp-432:2".parse(), Ok(Fault::Smtp432.times(2)));
/// # Ok::<(), exomail_sandbox::FaultError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaultSwitch {
    fault: Fault,
    argument: Option<u64>,
    times: Option<u32>,
}

impl FaultSwitch {
    /// Which fault.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// With this argument instead of the default one. A fault that takes none ignores it.
    #[must_use]
    pub fn with(mut self, argument: u64) -> Self {
        self.argument = (!self.fault.row().argument.is_empty()).then_some(argument);
        self
    }

    /// So many times, and then no more; 0 switches it off. A fault that lasts ignores it.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = (self.fault.row().kind == Kind::Strikes).then_some(times);
        self
    }

    /// The argument that counts; 0 for a fault that takes none.
    fn value(&self) -> u64 {
        self.argument.or(self.fault.default_argument()).unwrap_or(0)
    }
}

impl From<Fault> for FaultSwitch {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            argument: None,
            times: None,
        }
    }
}

impl fmt::Display for FaultSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.fault.name())?;
        // The number of times stands behind the argument, where there may be one.
        if !self.fault.row().argument.is_empty() && (self.argument.is_some() || self.times.is_some()) {
            write!(f, ":{}", self.value())?;
        }
        self.times.map_or(Ok(()), |times| write!(f, ":{times}"))
    }
}

/// A text that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// No fault has this name.
    #[error("no fault is named '{0}'; there are: {list}", list = names())]
    UnknownName(String),
    /// What stands behind the name is not what the fault takes.
    #[error("'{text}' is not written as {usage}", usage = fault.usage())]
    BadArgument {
        /// The whole text.
        text: String,
        /// The fault that it names.
        fault: Fault,
    },
}

fn names() -> String {
    let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    names.join(", ")
}

impl FromStr for FaultSwitch {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut fields = text.split(':');
        let name = fields.next().unwrap_or_default();
        let fault = *Fault::ALL
            .iter()
            .find(|fault| fault.name() == name)
            .ok_or_else(|| FaultError::UnknownName(name.to_owned()))?;
        let bad = || FaultError::BadArgument {
            text: text.to_owned(),
            fault,
        };
        let row = fault.row();
        let mut switch = Self::from(fault);
        if !row.argument.is_empty()
            && let Some(field) = fields.next()
        {
            switch.argument = Some(field.parse().map_err(|_| bad())?);
        }
        if row.kind == Kind::Strikes
            && let Some(field) = fields.next()
        {
            switch.times = Some(field.parse().map_err(|_| bad())?);
        }
        fields.next().map_or(Ok(switch), |_| Err(bad()))
    }
}

/// The faults that are on in one sandbox.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    on: Mutex<Vec<FaultSwitch>>,
    /// Resolves for those who wait when something was switched.
    switched: watch::Sender<()>,
}

impl Faults {
    fn on(&self) -> MutexGuard<'_, Vec<FaultSwitch>> {
        self.on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches a fault on, in place of what was on of it.
    pub(crate) fn set(&self, switch: FaultSwitch) {
        {
            let mut on = self.on();
            on.retain(|known| known.fault != switch.fault);
            if switch.times != Some(0) {
                on.push(switch);
            }
        }
        self.switched.send_replace(());
    }

    pub(crate) fn clear(&self, fault: Fault) {
        self.on().retain(|known| known.fault != fault);
        self.switched.send_replace(());
    }

    pub(crate) fn clear_all(&self) {
        self.on().clear();
        self.switched.send_replace(());
    }

    /// What is on, with the number of times that is left.
    pub(crate) fn list(&self) -> Vec<FaultSwitch> {
        self.on().clone()
    }

    /// The argument of a fault, if it is on. Counts nothing.
    pub(crate) fn value(&self, fault: Fault) -> Option<u64> {
        self.on()
            .iter()
            .find(|known| known.fault == fault)
            .map(FaultSwitch::value)
    }

    pub(crate) fn is_on(&self, fault: Fault) -> bool {
        self.value(fault).is_some()
    }

    /// The fault strikes now, if it is on: its argument, and one time less is left.
    pub(crate) fn strike(&self, fault: Fault) -> Option<u64> {
        self.strike_if(fault, |_| true)
    }

    /// The same, where its argument says that it is time.
    pub(crate) fn strike_if(&self, fault: Fault, due: impl FnOnce(u64) -> bool) -> Option<u64> {
        let mut on = self.on();
        let known = on.iter_mut().find(|known| known.fault == fault)?;
        let value = known.value();
        if !due(value) {
            return None;
        }
        tracing::debug!(%fault, "fault strikes");
        if let Some(left) = &mut known.times {
            *left = left.saturating_sub(1);
        }
        on.retain(|known| known.times != Some(0));
        Some(value)
    }

    /// Resolves `changed()` after each switching.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.switched.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_read_as_it_is_written() {
        for (index, &fault) in Fault::ALL.iter().enumerate() {
            assert_eq!(fault.name().parse(), Ok(FaultSwitch::from(fault)));
            assert!(
                !Fault::ALL[..index]
                    .iter()
                    .any(|other| other.name() == fault.name())
            );
            for switch in [fault.with(7), fault.times(3), fault.with(7).times(3)] {
                assert_eq!(
                    switch.to_string().parse::<FaultSwitch>().unwrap().value(),
                    switch.value()
                );
                assert_eq!(
                    switch.to_string().parse::<FaultSwitch>().unwrap().times,
                    switch.times
                );
            }
        }
        assert_eq!(
            Fault::ImapThrottled.usage(),
            "imap-throttled[:MILLISECONDS][:TIMES]"
        );
        assert_eq!(Fault::ModernFrontEnd.usage(), "modern-front-end");
    }

    #[test]
    fn what_is_no_fault_is_told_with_the_names_there_are() {
        let error = "smtp-999:2".parse::<FaultSwitch>().unwrap_err();
        assert_eq!(error, FaultError::UnknownName("smtp-999".to_owned()));
        for fault in Fault::ALL {
            assert!(error.to_string().contains(fault.name()));
        }
        for (text, usage) in [
            ("smtp-432:x", "smtp-432[:TIMES]"),
            ("smtp-432:1:2", "smtp-432[:TIMES]"),
            ("reset-after:", "reset-after[:OCTETS][:TIMES]"),
            ("reset-after:1:-1", "reset-after[:OCTETS][:TIMES]"),
            ("drip:1:1", "drip[:MILLISECONDS]"),
            ("pop3-pipelining:1", "pop3-pipelining"),
        ] {
            let error = text.parse::<FaultSwitch>().unwrap_err();
            assert_eq!(error.to_string(), format!("'{text}' is not written as {usage}"));
        }
    }

    #[test]
    fn a_fault_strikes_so_many_times_and_then_no_more() {
        let faults = Faults::default();
        faults.set(Fault::Reset.with(10).times(2));
        assert_eq!(faults.strike_if(Fault::Reset, |after| after < 10), None);
        assert_eq!(faults.strike(Fault::Reset), Some(10));
        assert_eq!(faults.list(), [Fault::Reset.with(10).times(1)]);
        assert_eq!(faults.strike(Fault::Reset), Some(10));
        assert_eq!(faults.strike(Fault::Reset), None);
        faults.set(Fault::Silence.into());
        for _ in 0..100 {
            assert_eq!(faults.strike(Fault::Silence), Some(0));
        }
        faults.clear(Fault::Silence);
        assert!(!faults.is_on(Fault::Silence));
        faults.set(Fault::Drip.with(1));
        faults.set(Fault::Drip.with(2));
        assert_eq!(faults.list(), [Fault::Drip.with(2)]);
        faults.clear_all();
        faults.set(Fault::Silence.times(0));
        assert!(faults.list().is_empty());
    }
}
