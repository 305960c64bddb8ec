//! The server's connections, with bounds on what callers can hold: how many connections, for how long, and how many
//! bytes of bodies.

use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body};
use futures_util::stream::try_unfold;
use http_body_util::BodyExt as _;
use hyper::{
    Request,
    body::{Body as _, Bytes, Incoming},
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{AbortHandle, Id, JoinSet},
    time::{Instant, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use web::{
    CallerAddress,
    body::{MAX_BODY, SMALL_BODY},
};

/// The most connections; fewer if the process may not open twice as many files.
const MAX_CONNECTIONS: usize = 512;
/// How long the head of a request may take, from the begin of the connection or from the last answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to read an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// After the signal to stop, how long a connection waits for its client.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a body may keep room that another one waits for.
const ROOM_TIMEOUT: Duration = Duration::from_secs(2);
/// How often connections are looked over for those whose time is up.
const LOOK: Duration = Duration::from_millis(250);
/// The longest head, and the most that is read before it is used.
const MAX_HEAD: usize = 64 * 1024;
/// The bytes of all bodies that are in memory at once, without the small ones: they wait for no large one.
const MAX_HELD: usize = 16 * MAX_BODY;

/// Serves until `stop`. Then requests in progress finish, and connections that wait for their client have
/// [`STOP_TIMEOUT`] left.
///
/// Of more connections than there may be, the one ends that has waited longest for its client: half-open connections
/// and stalled bodies cannot keep anybody out.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let most = MAX_CONNECTIONS.min(app::open_files() / 2);
    let bounds = Arc::new(Bounds { bodies: Arc::new(Semaphore::new(MAX_HELD)), waiting: Mutex::default() });
    let mut connections = Connections { tasks: JoinSet::new(), handles: HashMap::new(), bounds };
    let mut look = interval(LOOK);
    loop {
        select! {
            () = stop.cancelled() => break,
            () = connections.ended(), if !connections.tasks.is_empty() => {}
            _ = look.tick() => {
                connections.end_overdue();
                connections.make_room();
            }
            accepted = listener.accept(), if connections.tasks.len() <= most => match accepted {
                // A token of its own, since each wake of the connection asks it.
                Ok((stream, peer)) => connections.begin(stream, peer, router.clone(), stop.child_token()),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    connections.end_oldest();
                    sleep(LOOK).await;
                }
            }
        }
        if connections.tasks.len() > most {
            connections.end_oldest();
        }
    }
    drop(listener);
    connections.bounds.hurry();
    while !connections.tasks.is_empty() {
        select! {
            () = connections.ended() => {}
            _ = look.tick() => connections.end_overdue(),
        }
    }
}

/// The tasks of all connections.
struct Connections {
    tasks: JoinSet<()>,
    handles: HashMap<Id, AbortHandle>,
    bounds: Arc<Bounds>,
}

impl Connections {
    fn begin(&mut self, stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
        let bounds = Arc::clone(&self.bounds);
        let handle = self.tasks.spawn(async move {
            let place = Place { id: tokio::task::id(), stop, bounds };
            connection(stream, peer, router, place).await;
        });
        self.handles.insert(handle.id(), handle);
    }

    /// Waits until one has ended.
    async fn ended(&mut self) {
        if let Some(ended) = self.tasks.join_next_with_id().await {
            let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
            self.handles.remove(&id);
        }
    }

    /// Ends the one that has waited longest for its client.
    fn end_oldest(&self) {
        let mut waiting = self.bounds.waiting();
        let oldest = waiting.iter().min_by_key(|(_, connection)| connection.since).map(|(id, _)| *id);
        if let Some(oldest) = oldest {
            waiting.remove(&oldest);
            self.end(oldest);
        }
    }

    /// Ends those whose time is up.
    fn end_overdue(&self) {
        let now = Instant::now();
        let mut waiting = self.bounds.waiting();
        waiting.extract_if(|_, connection| connection.until <= now).for_each(|(id, _)| self.end(id));
    }

    /// Where bodies wait for room, ends as many that have kept it for too long.
    fn make_room(&self) {
        let mut waiting = self.bounds.waiting();
        let wanted = waiting.values().filter(|connection| connection.room == Room::Wanted).count();
        let too_long = |waiting: &Waiting| matches!(waiting.room, Room::Kept(since) if since.elapsed() >= ROOM_TIMEOUT);
        waiting.extract_if(|_, connection| too_long(connection)).take(wanted).for_each(|(id, _)| self.end(id));
    }

    fn end(&self, id: Id) {
        self.handles.get(&id).inspect(|connection| connection.abort());
    }
}

/// Serves one connection until either side ends it.
async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, place: Place) {
    place.wait(HEAD_TIMEOUT);
    let (router, place) = (TowerToHyperService::new(router), Arc::new(place));
    let service = service_fn(|request: Request<Incoming>| {
        let mut request = request.map(|body| Arriving::begin(body, &place));
        request.extensions_mut().insert(CallerAddress(peer.ip()));
        let answer = router.call(request);
        let place = &place;
        async move {
            let answer = answer.await;
            place.wait(ANSWER_TIMEOUT);
            answer
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let mut http = pin!(http.serve_connection(TokioIo::new(stream), service));
    select! {
        // It ends with an error if the client breaks it off.
        _ = http.as_mut() => return,
        () = place.stop.cancelled() => http.as_mut().graceful_shutdown(),
    }
    let _ = http.await;
}

/// What all connections share.
struct Bounds {
    bodies: Arc<Semaphore>,
    /// The connections that wait for a head or a body, or for their answer to be taken.
    waiting: Mutex<HashMap<Id, Waiting>>,
}

/// A connection that waits for its client.
struct Waiting {
    since: Instant,
    until: Instant,
    room: Room,
}

/// What a connection has of the room for bodies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    None,
    Wanted,
    /// Since when.
    Kept(Instant),
}

impl Bounds {
    /// Leaves every connection no more than [`STOP_TIMEOUT`].
    fn hurry(&self) {
        let soon = Instant::now() + STOP_TIMEOUT;
        self.waiting().values_mut().for_each(|connection| connection.until = connection.until.min(soon));
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Id, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that is on its way. Its connection waits for the client until this is dropped.
struct Arriving {
    body: Incoming,
    seen: usize,
    held: Option<OwnedSemaphorePermit>,
    place: Arc<Place>,
}

impl Arriving {
    fn begin(body: Incoming, place: &Arc<Place>) -> Body {
        if body.is_end_stream() {
            place.leave();
            return Body::empty();
        }
        place.wait(BODY_TIMEOUT);
        Body::from_stream(try_unfold(Self { body, seen: 0, held: None, place: Arc::clone(place) }, Self::next))
    }

    /// The next part, and the rest.
    async fn next(mut self) -> hyper::Result<Option<(Bytes, Self)>> {
        loop {
            if self.seen > SMALL_BODY && self.held.is_none() {
                let asked = Instant::now();
                self.place.room(Room::Wanted, Duration::ZERO);
                self.held = Arc::clone(&self.place.bounds.bodies).acquire_many_owned(self.size()).await.ok();
                self.place.room(Room::Kept(Instant::now()), asked.elapsed());
            }
            let Some(part) = self.body.frame().await.transpose()? else { return Ok(None) };
            if let Ok(part) = part.into_data() {
                self.seen = self.seen.saturating_add(part.len());
                return Ok(Some((part, self)));
            }
        }
    }

    /// As large as the body says, and never more than is kept of it.
    fn size(&self) -> u32 {
        let rest = self.body.size_hint().upper().and_then(|rest| usize::try_from(rest).ok());
        let size = rest.map_or(MAX_BODY, |rest| self.seen.saturating_add(rest)).min(MAX_BODY);
        u32::try_from(size).unwrap_or(u32::MAX)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.place.leave();
    }
}

/// A connection's place among those that wait for their clients.
struct Place {
    id: Id,
    stop: CancellationToken,
    bounds: Arc<Bounds>,
}

impl Place {
    /// Waits for the client, for so long at most.
    fn wait(&self, timeout: Duration) {
        let since = Instant::now();
        let timeout = if self.stop.is_cancelled() { timeout.min(STOP_TIMEOUT) } else { timeout };
        self.bounds.waiting().insert(self.id, Waiting { since, until: since + timeout, room: Room::None });
    }

    /// The body wants or has room. The time that it waited for room is not its client's.
    fn room(&self, room: Room, waited: Duration) {
        let waited = if self.stop.is_cancelled() { Duration::ZERO } else { waited };
        if let Some(waiting) = self.bounds.waiting().get_mut(&self.id) {
            waiting.room = room;
            waiting.until += waited;
        }
    }

    /// The client has sent its request.
    fn leave(&self) {
        self.bounds.waiting().remove(&self.id);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}
