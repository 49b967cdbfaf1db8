//! A real browser with a page open, asked through the pipe of its DevTools protocol (https://chromedevtools.github.io/devtools-protocol).
//! An answer is waited for however long the browser takes: Chromium's clock for tests runs ahead of what still has to be decoded and
//! drawn, so nothing goes by it. Of our own pages it knows nothing.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

pub struct Browser {
    program: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Of the page among all that the browser has.
    session: Value,
    sent: u64,
    /// The browser's own folder and its log, which lies in it.
    folder: tempfile::TempDir,
}

const LOG: &str = "log.txt";

impl Browser {
    /// `None`: there is no Chromium.
    pub fn open(page: &Path, anchor: &str) -> Option<Self> {
        let Some(program) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| starts(name))
        else {
            eprintln!("skipped: there is no chromium to look at the page with");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        // Chromium reads requests from descriptor 3 and writes answers to descriptor 4.
        let mut program = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 0</dev/null 1>&2", "sh", program])
            .args("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run".split(' '))
            .args(
                "--disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage"
                    .split(' '),
            )
            .args(["--enable-logging=stderr", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join(LOG)).unwrap())
            .spawn()
            .unwrap();
        let (requests, answers) = (program.stdin.take().unwrap(), BufReader::new(program.stdout.take().unwrap()));
        let mut browser = Self { program, requests, answers, session: Value::Null, sent: 0, folder };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].take();
        let attached = browser.ask("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.session = attached["sessionId"].clone();
        browser.ask("Page.enable", json!({}));
        let url = format!("file://{}{anchor}", page.canonicalize().unwrap().display());
        browser.send("Page.navigate", json!({ "url": url }));
        while browser.receive()["method"] != "Page.loadEventFired" {}
        Some(browser)
    }

    /// What a script in the page comes to, be it at once or by a promise. It may use `until`, which waits for a condition.
    pub fn run(&mut self, script: &str) -> String {
        let expression = format!("(async () => {{ {UNTIL} {script} }})()");
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.ask("Runtime.evaluate", asked);
        answer["result"]["value"].as_str().unwrap_or_else(|| panic!("{answer:#}\n{}", self.log())).to_owned()
    }

    /// # Panics
    /// If the page gave the browser anything to complain of.
    pub fn close(mut self) {
        self.send("Browser.close", json!({}));
        self.program.wait().unwrap();
        let log = self.log();
        let complaints: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.send(method, params);
        let mut answer = self.receive();
        while answer["id"] != self.sent {
            answer = self.receive();
        }
        assert!(answer["error"].is_null(), "{method}: {answer:#}");
        answer["result"].take()
    }

    fn send(&mut self, method: &str, params: Value) {
        self.sent += 1;
        let mut request = json!({ "id": self.sent, "method": method, "params": params });
        if !self.session.is_null() {
            request["sessionId"] = self.session.clone();
        }
        self.requests.write_all(format!("{request}\0").as_bytes()).unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut message = Vec::new();
        self.answers.read_until(0, &mut message).unwrap();
        assert_eq!(message.pop(), Some(0), "the browser ended:\n{}", self.log());
        serde_json::from_slice(&message).unwrap()
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join(LOG)).unwrap()).into_owned()
    }
}

impl Drop for Browser {
    /// A test that fails leaves no browser behind.
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// The limit only ends a test that would wait for ever.
const UNTIL: &str = r#"
    const until = async (is) => {
        const limit = Date.now() + 300_000;
        while (!is()) {
            if (Date.now() > limit) throw new Error(`never came: ${is}`);
            await new Promise((done) => setTimeout(done, 20));
        }
    };
"#;

fn starts(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
