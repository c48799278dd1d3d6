//! An HTTP/1.1 server that answers as a closure says and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

#[derive(Clone, Debug)]
pub struct Request {
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Debug)]
pub enum Reply {
    Say(u16, Vec<(&'static str, String)>, String),
    /// Takes the request and never answers.
    Hang,
    /// Takes the request and closes.
    Close,
    /// A body that does not end.
    Endless,
}

pub fn ok(body: impl Into<String>) -> Reply {
    Reply::Say(200, Vec::new(), body.into())
}

pub fn status(status: u16, body: &str) -> Reply {
    Reply::Say(status, Vec::new(), body.into())
}

pub struct HttpServer {
    pub port: u16,
    log: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

type Script = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

impl HttpServer {
    pub async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(script, None).await
    }

    pub async fn serve(
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
        tls: Option<tokio_rustls::TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Mutex::new(Vec::new()));
        let script: Script = Arc::new(script);
        let seen = Arc::clone(&log);
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (script, seen, tls) = (Arc::clone(&script), Arc::clone(&seen), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => talk(socket, script, seen).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                talk(socket, script, seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, log, task }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the server has seen `n` requests.
    pub async fn seen(&self, n: usize) {
        let look = async {
            while self.log.lock().unwrap().len() < n {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(super::DEADLINE, look)
            .await
            .expect("the request comes");
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(
    socket: impl AsyncRead + AsyncWrite + Unpin,
    script: Script,
    log: Arc<Mutex<Vec<Request>>>,
) {
    let mut socket = BufReader::new(socket);
    while let Some(request) = read(&mut socket).await {
        log.lock().unwrap().push(request.clone());
        let written = match script(&request) {
            Reply::Say(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                socket
                    .write_all(format!("{head}\r\n{body}").as_bytes())
                    .await
            }
            Reply::Hang => {
                std::future::pending::<()>().await;
                return;
            }
            Reply::Close => return,
            Reply::Endless => endless(&mut socket).await,
        };
        if written.is_err() || socket.flush().await.is_err() {
            return;
        }
    }
}

async fn endless(socket: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    socket
        .write_all(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    loop {
        socket.write_all(chunk.as_bytes()).await?;
    }
}

async fn read(socket: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Request> {
    let mut line = String::new();
    socket.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
    let target = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).await.ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None => return Some(Request { target, headers }),
        }
    }
}
