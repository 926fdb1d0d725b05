//! What every protocol stands on: TLS, connecting, bounded reading, the transcript, one actor task per connection.

mod actor;
mod connector;
mod http;
mod pull;
mod tls;
mod transcript;
mod wire;

pub(crate) use actor::{Actor, Engine, Job};
pub use connector::{Connector, Endpoint, Security, Timeouts};
pub(crate) use http::{HttpAnswer, HttpClient};
pub(crate) use pull::Pull;
pub use tls::Tls;
pub(crate) use transcript::Tap;
pub use transcript::{Direction, Transcript, TranscriptLine};
#[cfg(feature = "async-imap")]
pub(crate) use wire::Stream;
pub(crate) use wire::Wire;
