//! A net for secrets: catches every log record of this process, and looks for secrets in whatever form.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tracing_subscriber::fmt::MakeWriter;

/// Everything that was logged at any level by anything in this process, `log` records of rustls and reqwest included.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What has been caught so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

/// Starts catching, once per test binary.
pub fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .init();
        log
    })
}

/// Looks for each secret as it is, in base64 (each alignment) and as hexadecimal or decimal byte lists.
pub fn assert_absent(secrets: &[&str], texts: &[(&str, &str)]) {
    for secret in secrets {
        let mut forms = vec![
            (*secret).to_owned(),
            format!("{:02x?}", secret.as_bytes()),
            format!("{:?}", secret.as_bytes()),
        ];
        for pad in 0..3 {
            let encoded = BASE64_STANDARD.encode([&vec![b' '; pad], secret.as_bytes()].concat());
            forms.push(encoded[4..encoded.len() - 4].to_owned());
        }
        for form in forms {
            let form = form.trim_matches(['[', ']']);
            for (name, text) in texts {
                assert!(!text.contains(form), "{name} shows {form:?}");
            }
        }
    }
}
