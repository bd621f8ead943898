//! Cost of the routes: polls a second compared with a bare handler that returns the same bytes, and
//! memory for open streams of events. The server is a process of its own, on a loopback port.
//!
//! `cargo bench -p job-registry-axum`, which needs Linux for the counts of the kernel.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use job_registry::{Job, JobRegistry, Progress};
use job_registry_axum::JobRoutes;
use std::convert::Infallible;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Argument by which the benchmark starts itself as the server.
const SERVER: &str = "--serve";
const CONNECTIONS: usize = 64;
const ROUNDS: usize = 21;
const ROUND: Duration = Duration::from_millis(400);
const STREAMS: usize = 10_000;
const JOBS: usize = 100;

fn main() -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build()?;
    if std::env::args().any(|argument| argument == SERVER) {
        return runtime.block_on(serve());
    }
    runtime.block_on(async {
        polls(&Server::start()?).await?;
        println!();
        for (name, path) in [("by a bare handler", "bare"), ("by the routes", "jobs")] {
            // Each kind has a server of its own, because freed memory is used again.
            let each = streams(&Server::start()?, path).await?;
            println!("{STREAMS} open streams {name}: {each} bytes of the server's memory each");
        }
        Ok(())
    })
}

/// The server: the routes, with and without a payload that is shown, and the same answers by
/// handlers that do nothing else. It prints its port and the ids of its jobs, and ends with its
/// standard input.
async fn serve() -> Result<()> {
    let jobs: JobRegistry<String> = JobRegistry::new();
    let running = (0..JOBS).map(|number| {
        let job = jobs.register(format!("deck {number}"))?;
        job.start()?;
        job.report(Progress::of(3, 12), "slide 3 of 12")?;
        Ok(job)
    });
    let running = running.collect::<Result<Vec<Job<String>>>>()?;
    let plain = JobRoutes::new(jobs.clone(), "/jobs");
    let shown = JobRoutes::new(jobs.clone(), "/shown").show(|record| record.payload.clone());
    let bare = |routes: &JobRoutes<JobRegistry<String>>| {
        let (routes, id) = (routes.clone(), running[0].id());
        async move {
            let answer = routes.accepted(&HeaderMap::new(), id).await;
            let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
            Ok::<_, Box<dyn Error + Send + Sync>>(body?)
        }
    };
    let tag = format!("W/\"{}\"", running[0].snapshot()?.version());
    let handler = |body: Bytes| {
        let tag = tag.clone();
        get(move || std::future::ready(answer(tag.clone(), body.clone())))
    };
    let unchanged = tag.clone();
    let unchanged = get(move || {
        let headers = [
            (header::ETAG, unchanged.clone()),
            (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        ];
        std::future::ready((StatusCode::NOT_MODIFIED, headers))
    });
    let router = Router::new()
        .route("/bare/{id}", handler(bare(&plain).await?))
        .route("/bare-shown/{id}", handler(bare(&shown).await?))
        .route("/bare-unchanged/{id}", unchanged)
        .route("/bare/{id}/events", get(silent))
        .merge(plain.router())
        .merge(shown.router());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let ids: Vec<_> = running.iter().map(|job| job.id().to_string()).collect();
    println!("{} {tag} {}", listener.local_addr()?, ids.join(" "));
    std::thread::spawn(|| {
        // The benchmark holds the other end.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    Ok(axum::serve(listener, router).await?)
}

fn answer(tag: String, body: Bytes) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::ETAG, tag),
    ];
    (headers, body)
}

/// A stream of one event that stays open.
async fn silent() -> impl IntoResponse {
    let first = std::iter::once(Ok::<_, Infallible>(
        Event::default().event("state").data("{}"),
    ));
    Sse::new(stream::iter(first).chain(stream::pending()))
}

struct Server {
    child: Child,
    input: Option<ChildStdin>,
    address: SocketAddr,
    tag: String,
    ids: Vec<String>,
}

impl Server {
    fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(SERVER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("the server has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let mut word = || words.next().ok_or("the server did not start");
        Ok(Self {
            input: child.stdin.take(),
            address: word()?.parse()?,
            tag: word()?,
            ids: words.collect(),
            child,
        })
    }

    /// The server's processor time, in ticks of the kernel.
    fn ticks(&self) -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name of the program may have spaces.
        let (_, fields) = stat.rsplit_once(')').ok_or("no fields")?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
    }

    /// The server's memory, in bytes.
    fn memory(&self) -> Result<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.ok_or("no memory")?.parse::<usize>()? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server ends with its standard input.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// One kind of poll: by the routes, and by a bare handler.
struct Poll {
    name: &'static str,
    routes: &'static str,
    bare: &'static str,
    unchanged: bool,
}

async fn polls(server: &Server) -> Result<()> {
    let polls = [
        Poll {
            name: "without a payload",
            routes: "jobs",
            bare: "bare",
            unchanged: false,
        },
        Poll {
            name: "with a payload that is shown",
            routes: "shown",
            bare: "bare-shown",
            unchanged: false,
        },
        Poll {
            name: "304, by `If-None-Match`",
            routes: "jobs",
            bare: "bare-unchanged",
            unchanged: true,
        },
    ];
    println!("{CONNECTIONS} connections, {ROUNDS} rounds of {ROUND:?}, medians\n");
    println!(
        "| poll | routes, polls/s | bare handler, polls/s | ratio | ratio of the server's time |"
    );
    println!("|---|---:|---:|---:|---:|");
    for poll in polls {
        let tag = poll.unchanged.then_some(&*server.tag);
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut connection = TcpStream::connect(server.address).await?;
            connection.set_nodelay(true)?;
            let of = |path| request(path, &server.ids[0], tag);
            let (routes, bare) = (of(poll.routes), of(poll.bare));
            let lengths = [
                length(&mut connection, &routes).await?,
                length(&mut connection, &bare).await?,
            ];
            if lengths[0] != lengths[1] {
                return Err(format!("{}: {lengths:?} bytes", poll.name).into());
            }
            connections.push((connection, [routes, bare], lengths[0]));
        }
        let mut rates = [Vec::new(), Vec::new()];
        let mut costs = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            for which in [round % 2, 1 - round % 2] {
                let (before, began) = (server.ticks()?, Instant::now());
                let mut tasks = Vec::new();
                for (mut connection, requests, length) in connections.drain(..) {
                    tasks.push(tokio::spawn(async move {
                        let mut answer = vec![0; length];
                        let mut count = 0_u32;
                        while began.elapsed() < ROUND {
                            connection.write_all(requests[which].as_bytes()).await?;
                            connection.read_exact(&mut answer).await?;
                            count += 1;
                        }
                        std::io::Result::Ok((connection, requests, length, count))
                    }));
                }
                let mut count = 0;
                for task in tasks {
                    let (connection, requests, length, polls) = task.await??;
                    connections.push((connection, requests, length));
                    count += polls;
                }
                let count = f64::from(count);
                rates[which].push(count / began.elapsed().as_secs_f64());
                let ticks = u32::try_from(server.ticks()? - before)?;
                costs[which].push(f64::from(ticks) / count);
            }
        }
        let ratios = |of: &[Vec<f64>; 2]| {
            let pairs = of[0].iter().zip(&of[1]);
            median(pairs.map(|(routes, bare)| routes / bare).collect())
        };
        let (rate, cost) = (ratios(&rates), ratios(&costs));
        let [routes, bare] = rates.map(median);
        println!(
            "| {} | {routes:.0} | {bare:.0} | {rate:.2} | {cost:.2} |",
            poll.name
        );
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn request(path: &str, id: &str, tag: Option<&str>) -> String {
    let tag = tag.map(|tag| format!("If-None-Match: {tag}\r\n"));
    let tag = tag.unwrap_or_default();
    format!("GET /{path}/{id} HTTP/1.1\r\nHost: localhost\r\n{tag}\r\n")
}

/// Sends a request and returns the length of its answer.
async fn length(connection: &mut TcpStream, request: &str) -> Result<usize> {
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        connection.read_buf(&mut answer).await?;
        let text = std::str::from_utf8(&answer)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        if !head.starts_with("HTTP/1.1 200") && !head.starts_with("HTTP/1.1 304") {
            return Err(format!("refused: {head}").into());
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(Ok(0), str::parse)?;
        if body.len() == length {
            return Ok(answer.len());
        }
    }
}

/// Returns the memory for each of many open streams.
async fn streams(server: &Server, path: &str) -> Result<usize> {
    let before = server.memory()?;
    let mut connections = Vec::with_capacity(STREAMS);
    for number in 0..STREAMS {
        let connection = TcpStream::connect(server.address).await;
        let mut connection = connection.map_err(|error| {
            format!("{number} connections, then {error}; does `ulimit -n` permit more?")
        })?;
        let id = format!("{}/events", server.ids[number % JOBS]);
        connection
            .write_all(request(path, &id, None).as_bytes())
            .await?;
        let mut answer = Vec::with_capacity(2_048);
        // The first event ends with an empty line; the headers' lines end differently.
        while !answer.windows(2).any(|part| part == b"\n\n") {
            if connection.read_buf(&mut answer).await? == 0 {
                return Err("a stream has ended".into());
            }
        }
        connections.push(connection);
    }
    Ok(server.memory()?.saturating_sub(before) / STREAMS)
}
