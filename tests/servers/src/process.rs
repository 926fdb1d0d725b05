//! [`Process`]: a server that runs in the foreground and ends with its owner.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{self, Pid, Signal, WaitId, WaitIdOptions};

use crate::error::{Doing, ServersError};

/// How long a server may take to listen, and to end. It takes milliseconds; a loaded machine takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// How the server comes to lead a process group, by which all of its processes are ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Group {
    /// We make it.
    New,
    /// The server makes it, and refuses to start where it leads one already.
    Own,
}

/// A running server. Dropping it ends it and all processes of its group.
#[derive(Debug)]
pub(crate) struct Process {
    server: Child,
    watcher: Child,
}

impl Process {
    /// Starts `program` with its output in the file `output` and returns once every port takes connections.
    pub(crate) fn start(
        name: &'static str,
        group: Group,
        program: &str,
        arguments: &[&Path],
        output: &Path,
        ports: &[u16],
        log: impl Fn() -> String,
    ) -> Result<Self, ServersError> {
        let file = File::create(output).doing(|| output.display().to_string())?;
        let errors = file.try_clone().doing(|| output.display().to_string())?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            // Both servers read settings from there.
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors);
        if let Group::New = group {
            command.process_group(0);
        }
        let mut server = command.spawn().doing(|| program.to_owned())?;
        let watcher = match watch(&server) {
            Ok(watcher) => watcher,
            Err(error) => {
                end(&mut server);
                return Err(error);
            }
        };
        let process = Self { server, watcher };
        let until = Instant::now() + PATIENCE;
        for port in ports {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_err() {
                let reason = if ended(Pid::from_child(&process.server)) {
                    "it ended".to_owned()
                } else if Instant::now() > until {
                    format!("nothing listens on port {port}")
                } else {
                    thread::sleep(LOOK);
                    continue;
                };
                return Err(ServersError::NotReady {
                    name,
                    reason,
                    log: log(),
                });
            }
        }
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watcher first, or it would end a group whose number may be somebody else's by then.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
        end(&mut self.server);
    }
}

/// Where the tests are killed no drop runs. Then the watcher's standard input ends, and it ends the server.
fn watch(server: &Child) -> Result<Child, ServersError> {
    Command::new("/bin/sh")
        .args(["-c", "read -r line; kill -TERM \"$0\""])
        .arg(server.id().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C goes to the whole foreground group; the watcher must outlive the tests.
        .process_group(0)
        .spawn()
        .doing(|| "/bin/sh".to_owned())
}

/// Whether the process has ended. It is not reaped, so its number stays its own.
fn ended(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(process::waitid(WaitId::Pid(pid), options), Ok(None))
}

/// Ends a server in order, then whatever is left of its group.
fn end(server: &mut Child) {
    let pid = Pid::from_child(server);
    let _ = process::kill_process(pid, Signal::TERM);
    let until = Instant::now() + PATIENCE;
    while !ended(pid) && Instant::now() < until {
        thread::sleep(LOOK);
    }
    // Before the leader is reaped: until then nobody else can have its number.
    let _ = process::kill_process_group(pid, Signal::KILL);
    let _ = server.kill();
    let _ = server.wait();
}

/// Ports that are free now. They are held together while the next is asked for, so that none comes twice; another
/// process may take one before the server does, which is why starting is tried again.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N], ServersError> {
    let mut ports = [0; N];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing(|| "looking for a free port".to_owned())?;
        *port = listener
            .local_addr()
            .doing(|| "looking for a free port".to_owned())?
            .port();
        held.push(listener);
    }
    Ok(ports)
}
