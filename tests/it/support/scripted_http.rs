//! An HTTP server with scripted answers, one request per connection.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// The status, further headers and the body of a response.
pub(crate) type Answer = (&'static str, &'static str, String);

/// A request received by the server.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path without the query.
    pub(crate) path: String,
    /// The query without the question mark, as it was sent.
    pub(crate) query: String,
    pub(crate) body: Vec<u8>,
    /// The header lines, in lower case.
    pub(crate) headers: String,
}

impl Request {
    /// Returns the value of a header, in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Starts a server that answers each method and path by `answer`. Returns its URL.
pub(crate) fn scripted(answer: impl Fn(&str, &str) -> Answer + Send + 'static) -> String {
    scripted_by(move |request| {
        let (status, headers, body) = answer(&request.method, &request.path);
        (status, headers.to_owned(), body)
    })
}

/// Starts a server that answers each request by `answer`. Returns its URL.
pub(crate) fn scripted_by(
    answer: impl Fn(&Request) -> (&'static str, String, String) + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            // Clients may close a connection at any time.
            let _ = socket.and_then(|socket| serve(socket, &answer));
        }
    });
    url
}

fn serve(
    mut socket: TcpStream,
    answer: &impl Fn(&Request) -> (&'static str, String, String),
) -> io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let (mut first, mut headers) = (String::new(), String::new());
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        headers += &line.to_ascii_lowercase();
    }
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut request = Request { method: method.to_owned(), path, query, body: Vec::new(), headers };
    let len = request.header("content-length").map_or(0, |len| len.trim().parse().unwrap());
    reader.take(len).read_to_end(&mut request.body)?;
    let (status, headers, body) = answer(&request);
    let len = if headers.contains("Content-Length") {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let body = if method == "HEAD" { "" } else { &body };
    write!(socket, "HTTP/1.1 {status}\r\n{headers}{len}Connection: close\r\n\r\n{body}")
}

/// Returns the XML body of an S3 error.
pub(crate) fn xml(code: &str, message: &str, more: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message>\
         {more}<RequestId>R</RequestId></Error>"
    )
}
