//! Long connections: a server that gives back each line with its name, and clients that talk to it line by
//! line and notice when anything is amiss.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::Namespace;
use super::crew::Crew;
use super::listener::{POLL, serve};

/// Longest wait for a connection or an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Enough for a thread that holds a line.
const STACK: usize = 128 << 10;

/// Answers each line of each connection with its name and the line, until dropped.
#[derive(Debug)]
pub struct Echo {
    _crew: Crew,
}

impl Echo {
    /// Listens on `port` (host order) of all addresses of both families inside `namespace`.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(namespace: &Namespace, name: &str, port: u16) -> Result<Self> {
        let name = name.to_owned();
        Ok(Self { _crew: serve(namespace, port, move |stop, stream, _| answer_until(stop, stream, &name))? })
    }
}

fn answer_until(stop: &AtomicBool, mut stream: &TcpStream, name: &str) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(POLL * 10))?;
    let (mut reader, mut line) = (BufReader::new(stream), String::new());
    while !stop.load(Ordering::Relaxed) {
        match reader.read_line(&mut line) {
            Ok(0) => break,
            Ok(_) => {
                stream.write_all(format!("{name} {line}").as_bytes())?;
                line.clear();
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What has become of a connection until now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Talk {
    /// Who answered first; empty: nobody yet.
    pub node: String,
    /// Answers that came.
    pub answers: u32,
    /// What ended it before it was to end.
    pub broken: Option<String>,
}

/// Connections that each send a line at a steady pace, until stopped or dropped.
#[derive(Debug)]
pub struct Talks {
    all: Vec<Arc<Mutex<Talk>>>,
    crew: Crew,
}

impl Talks {
    /// Opens `count` connections from inside `namespace`, to each of the addresses in turn.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or a thread not be made.
    pub fn start(namespace: &Namespace, to: &[SocketAddr], count: usize, pace: Duration) -> Result<Self> {
        let mut talks = Self { all: Vec::new(), crew: Crew::default() };
        namespace.enter(|| {
            for (number, to) in (0..count).zip(to.iter().copied().cycle()) {
                let talk = Arc::<Mutex<Talk>>::default();
                talks.all.push(Arc::clone(&talk));
                // Not all at the same moment.
                let head_start = pace * u32::try_from(number % 64)? / 64;
                talks.crew.hire(Builder::new().stack_size(STACK), move |stop| {
                    thread::sleep(head_start);
                    let broken = talk_until(stop, to, pace, &talk).err();
                    lock(&talk).broken = broken.map(|error| format!("{error:#}"));
                })?;
            }
            Ok(())
        })?;
        Ok(talks)
    }

    /// What has become of all until now.
    pub fn all(&self) -> Vec<Talk> {
        self.all.iter().map(|talk| lock(talk).clone()).collect()
    }

    /// Ends them, and returns what became of all.
    pub fn finish(mut self) -> Vec<Talk> {
        self.crew.dismiss();
        self.all()
    }
}

fn lock(talk: &Mutex<Talk>) -> std::sync::MutexGuard<'_, Talk> {
    talk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn talk_until(stop: &AtomicBool, to: SocketAddr, pace: Duration, talk: &Mutex<Talk>) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    for number in 0_u32.. {
        let (began, mut answer) = (Instant::now(), String::new());
        stream.write_all(format!("{number}\n").as_bytes()).context("send")?;
        reader.read_line(&mut answer).with_context(|| format!("answer {number}"))?;
        let (node, line) = answer.trim_end().split_once(' ').ok_or_else(|| anyhow!("{answer:?}: the end"))?;
        {
            let mut talk = lock(talk);
            ensure!(line == number.to_string(), "{line:?} in answer to {number}");
            ensure!(number == 0 || talk.node == node, "{node} answers instead of {}", talk.node);
            node.clone_into(&mut talk.node);
            talk.answers += 1;
        }
        while began.elapsed() < pace {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            thread::sleep(POLL.min(pace.saturating_sub(began.elapsed())));
        }
    }
    Ok(())
}
