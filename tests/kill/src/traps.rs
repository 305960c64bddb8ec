//! What happens at a step.

use std::{
    fmt,
    io::{Read, Write},
    net::TcpStream,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Signal, getpid, kill_process};

use crate::{Point, Side};

/// What a trap does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// The process aborts.
    Kill,
    /// The process stops, until somebody lets it go on.
    Stop,
    /// Redis forgets everything.
    Flush,
}

/// A point, and at which of the passes something happens there, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// Where.
    pub point: Point,
    /// At which pass.
    pub pass: u32,
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.point, self.pass)
    }
}

/// `call.send:before`, or `call.send:before:2`.
impl FromStr for Trap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (point, pass) = match text.rsplit_once(':') {
            Some((point, pass)) if pass.starts_with(|c: char| c.is_ascii_digit()) => (point, pass),
            _ => (text, "1"),
        };
        let pass = pass.parse().ok().filter(|pass| *pass > 0);
        Ok(Self { point: point.parse()?, pass: pass.ok_or("a pass is counted from 1")? })
    }
}

/// The traps of a process.
#[derive(Debug)]
pub struct Traps {
    /// Each with the passes that are left until it springs.
    set: Mutex<Vec<(Deed, Trap)>>,
    /// Redis' address, for those that flush it.
    redis: Option<String>,
}

impl Traps {
    /// These traps. `redis` is an address such as `127.0.0.1:6379`.
    pub fn new(set: Vec<(Deed, Trap)>, redis: Option<String>) -> Arc<Self> {
        Arc::new(Self { set: Mutex::new(set), redis })
    }

    /// The process passes a point.
    pub(crate) fn pass(&self, call: &str, side: Side) {
        let mut sprung = Vec::new();
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        for (deed, trap) in set.iter_mut().filter(|(_, trap)| trap.point.call == call && trap.point.side == side) {
            trap.pass = trap.pass.saturating_sub(1);
            if trap.pass == 0 {
                sprung.push((*deed, trap.point.clone()));
            }
        }
        set.retain(|(_, trap)| trap.pass > 0);
        drop(set);
        for (deed, point) in sprung {
            self.spring(deed, &point);
        }
    }

    fn spring(&self, deed: Deed, point: &Point) {
        // Whoever set the trap reads it there.
        println!("sprung {point}");
        // Standard output may be closed by then, which changes nothing here.
        let _ = std::io::stdout().flush();
        match deed {
            Deed::Kill => std::process::abort(),
            Deed::Stop => kill_process(getpid(), Signal::STOP).expect("a process may stop itself"),
            Deed::Flush => {
                let redis = self.redis.as_deref().expect("who flushes Redis has one");
                flush(redis).expect("Redis takes FLUSHALL");
            }
        }
    }
}

fn flush(redis: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(redis)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"FLUSHALL\r\n")?;
    let mut answer = [0; 3];
    stream.read_exact(&mut answer)?;
    if answer == *b"+OK" { Ok(()) } else { Err(std::io::Error::other("Redis refused FLUSHALL")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_is_written_as_a_point_and_a_pass() {
        for text in ["call.send:before:2", "ledger.save.sending:after:1"] {
            assert_eq!(text.parse::<Trap>().unwrap().to_string(), text);
        }
        assert_eq!("call.send:after".parse::<Trap>().unwrap().pass, 1);
        for bad in ["", "call.send", "call.send:during", "call.sent:after", "call.send:after:0", "call.send:after:1x"] {
            assert!(bad.parse::<Trap>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_trap_springs_once_at_its_pass() {
        let traps = Traps::new(vec![(Deed::Kill, "call.send:after:3".parse().unwrap())], None);
        for _ in 0..2 {
            traps.pass("call.send", Side::After);
            traps.pass("call.send", Side::Before);
        }
        let left = traps.set.lock().unwrap().clone();
        assert_eq!(left, [(Deed::Kill, "call.send:after:1".parse().unwrap())]);
    }
}
