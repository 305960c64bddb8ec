//! Real servers for tests: programs that a test starts on free loopback ports and ends with itself.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use tempfile::TempDir;

/// A redis-server of this test's own, on 127.0.0.1 and without persistence. It ends when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    /// What it was started with, to be started again.
    arguments: Vec<String>,
    /// Where a cluster's node keeps its configuration.
    _folder: TempDir,
}

impl RedisServer {
    /// Starts a single server, or a cluster of one node that has all slots. Panics when there is no `redis-server`.
    pub fn start(cluster: bool) -> Self {
        let server = Self::start_node(cluster, &[]);
        if cluster {
            server.take_all_slots();
        }
        server
    }

    /// Starts a cluster of one node that also listens with TLS; gives its URL there, and the certificate of the
    /// authority of its own, in PEM.
    pub fn start_tls() -> (Self, String, Vec<u8>) {
        let certificates = tempfile::tempdir().expect("a folder for the certificates");
        let path = |name: &str| certificates.path().join(name).display().to_string();
        std::fs::write(path("names"), "subjectAltName=IP:127.0.0.1").expect("the folder is writable");
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc";
        for command in [
            format!("req -x509 {key} -keyout authority.key -out authority.pem -days 2 -subj /CN=authority"),
            format!("req {key} -keyout server.key -out server.csr -subj /CN=server"),
            "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names \
             -out server.pem"
                .to_owned(),
        ] {
            let made = Command::new("openssl").args(command.split(' ')).current_dir(certificates.path()).output();
            let made = made.expect("there is a program `openssl`");
            assert!(made.status.success(), "{command}: {}", String::from_utf8_lossy(&made.stderr));
        }
        let port = free_port();
        let files = [("cert", "server.pem"), ("key", "server.key"), ("ca-cert", "authority.pem")];
        let files = files.into_iter().flat_map(|(option, file)| [format!("--tls-{option}-file"), path(file)]);
        let tls = ["--tls-cluster", "yes", "--tls-auth-clients", "no", "--tls-port"].map(str::to_owned);
        let options: Vec<String> = files.chain(tls).chain([port.to_string()]).collect();
        let server = Self::start_node(true, &options);
        server.take_all_slots();
        let authority = std::fs::read(path("authority.pem")).expect("it was made");
        (server, format!("rediss://127.0.0.1:{port}"), authority)
    }

    fn take_all_slots(&self) {
        assert_eq!(self.command("CLUSTER ADDSLOTSRANGE 0 16383"), "+OK");
        self.until("CLUSTER INFO", "cluster_state:ok");
    }

    /// Starts a cluster of two nodes, each with half of the slots.
    pub fn start_two() -> [Self; 2] {
        let nodes = [Self::start_node(true, &[]), Self::start_node(true, &[])];
        assert_eq!(nodes[0].command("CLUSTER ADDSLOTSRANGE 0 8191"), "+OK");
        assert_eq!(nodes[1].command("CLUSTER ADDSLOTSRANGE 8192 16383"), "+OK");
        // The nodes' epochs must differ, or they would have to argue about it first.
        assert_eq!(nodes[1].command("CLUSTER SET-CONFIG-EPOCH 2"), "+OK");
        let bus = nodes[1].bus_port();
        assert_eq!(nodes[0].command(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", nodes[1].port)), "+OK");
        for node in &nodes {
            node.until("CLUSTER INFO", "cluster_state:ok");
        }
        nodes
    }

    fn start_node(cluster: bool, more: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the server");
        // A free port may be taken before the server has it.
        for _ in 0..5 {
            let (port, bus) = (free_port(), free_port());
            let mut arguments: Vec<String> = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]
                .into_iter()
                .map(ToOwned::to_owned)
                .collect();
            arguments.push(folder.path().display().to_string());
            arguments.extend(["--port".to_owned(), port.to_string()]);
            if cluster {
                arguments.extend(["--cluster-enabled".to_owned(), "yes".to_owned()]);
                arguments.extend(["--cluster-port".to_owned(), bus.to_string()]);
                // A test machine may be slow; nothing here is about failing over.
                arguments.extend(["--cluster-node-timeout".to_owned(), "60000".to_owned()]);
            }
            arguments.extend_from_slice(more);
            if let Some(child) = spawn(&arguments, port) {
                return Self { child, port, arguments, _folder: folder };
            }
        }
        panic!("redis-server does not start");
    }

    /// The server that the tests of this process share as long as any of them has it.
    pub fn shared(cluster: bool) -> Arc<Self> {
        static SHARED: [Mutex<Weak<RedisServer>>; 2] = [const { Mutex::new(Weak::new()) }; 2];
        let mut shared = SHARED[usize::from(cluster)].lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start(cluster));
            *shared = Arc::downgrade(&started);
            started
        })
    }

    /// Its URL, without `?cluster=true`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Runs a command, words with spaces between, and gives the answer as it stands in the protocol.
    pub fn command(&self, command: &str) -> String {
        ask(self.port, command).expect("the server answers")
    }

    /// Stops answering, as a machine that hangs does; its connections stay.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Goes on after [`RedisServer::pause`].
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// Kills it and starts it anew, empty, on the same port.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.arguments, self.port).expect("redis-server starts again on its port");
        if self.arguments.iter().any(|argument| argument == "--cluster-enabled") {
            self.until("CLUSTER INFO", "cluster_state:ok");
        }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        // Neither fails but for a server that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn bus_port(&self) -> &str {
        let place = self.arguments.iter().position(|argument| argument == "--cluster-port");
        &self.arguments[place.expect("a cluster's node has a bus port") + 1]
    }

    fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(done.expect("there is a program `kill`").success(), "the server takes signals");
    }

    fn until(&self, command: &str, answer: &str) {
        let ready = poll(|| self.command(command).contains(answer).then_some(()));
        assert!(ready.is_some(), "redis-server does not get ready: {command}: {}", self.command(command));
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of 127.0.0.1 that nobody uses just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    listener.local_addr().expect("it has an address").port()
}

/// Starts a server and waits until it answers; none when it ends instead.
fn spawn(arguments: &[String], port: u16) -> Option<Child> {
    let mut child = Command::new("redis-server")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("these tests need the program redis-server, version 7, in PATH (Debian: apt-get install redis-server)");
    let ready = poll(|| match child.try_wait() {
        Ok(None) => ask(port, "PING").filter(|answer| answer == "+PONG").map(|_| true),
        _ => Some(false),
    });
    if ready == Some(true) {
        return Some(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// Looks again and again, for 20 s at most.
fn poll<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..2000 {
        if let Some(found) = look() {
            return Some(found);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

/// One command on a connection of its own; the server closes it after QUIT.
fn ask(port: u16, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.trim_end().trim_end_matches("+OK").trim_end().to_owned()).filter(|answer| !answer.is_empty())
}
