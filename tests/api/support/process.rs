//! Real processes: started, read, killed by pid.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use rand::Rng;

/// How long a process may take to listen.
const START: Duration = Duration::from_mins(1);

/// A process that listens.
pub(crate) struct Running {
    child: Child,
    /// Where it listens, as it says itself.
    pub(crate) url: String,
}

/// Names the file, in a process's environment, that what it logs is appended to.
pub(crate) const LOG_FILE: &str = "TEST_LOG_FILE";

/// Where a process of this environment logs to.
fn log_of(environment: &[(String, String)]) -> Stdio {
    let named = environment.iter().find(|(key, _)| key == LOG_FILE);
    named.map_or_else(Stdio::inherit, |(_, file)| {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(file);
        Stdio::from(file.unwrap())
    })
}

/// Resident memory of a process in KiB.
pub(crate) fn memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let line = line.unwrap().trim().trim_end_matches(" kB");
    line.parse().unwrap()
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    // Below the range that the system gives to outgoing connections: some time passes before it is taken.
    let mut ports = std::iter::repeat_with(|| rand::rng().random_range(10_000..20_000));
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(free).unwrap()
}

impl Running {
    /// Starts it and waits for its line "… listening on URL".
    pub(crate) async fn start(
        program: &str,
        arguments: &[String],
        environment: &[(String, String)],
    ) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_of(environment))
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (said, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("listening on ") {
                    // The test has ended when nobody hears it.
                    let _nobody = said.send(url.trim().to_owned());
                }
            }
        });
        let heard = tokio::task::spawn_blocking(move || heard.recv_timeout(START))
            .await
            .unwrap();
        let Ok(url) = heard else {
            child.kill().unwrap();
            panic!("{program} does not listen: {:?}", child.wait());
        };
        Self { child, url }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Asks it to end and waits for that, while the test goes on; its exit code.
    pub(crate) async fn end(&mut self) -> Option<i32> {
        self.ask_to_end();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks it to end, and returns its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.ask_to_end();
        self.child.wait().unwrap().code()
    }

    fn ask_to_end(&self) {
        let asked = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(asked.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program to its end; whether it succeeded, and all that it said.
pub(crate) fn run_to_end(
    program: &str,
    arguments: &[&str],
    environment: &[(String, String)],
    input: &str,
) -> (bool, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .envs(environment.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}
