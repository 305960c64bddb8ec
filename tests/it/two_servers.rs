//! Two servers on one Redis and one table are one deployment, behind a load balancer that knows nothing of it.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use contracts::{Ministack, servers::RedisServer};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{Server, command, gmail};

/// What one key may ask in a minute, at both servers together.
const PER_KEY: usize = 60;

/// A load balancer: each connection goes to the next server, or to another where that one is gone.
struct Balancer {
    url: String,
    /// How many connections each server was given.
    given: Arc<[AtomicUsize; 2]>,
}

impl Balancer {
    async fn start(servers: [SocketAddr; 2]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let given = Arc::new([const { AtomicUsize::new(0) }; 2]);
        let counts = given.clone();
        tokio::spawn(async move {
            for first in [0, 1].into_iter().cycle() {
                let Ok((mut client, _)) = listener.accept().await else { return };
                let counts = counts.clone();
                tokio::spawn(async move {
                    for number in [first, 1 - first] {
                        if let Ok(mut server) = TcpStream::connect(servers[number]).await {
                            counts[number].fetch_add(1, Ordering::Relaxed);
                            return copy_bidirectional(&mut client, &mut server).await.is_ok();
                        }
                    }
                    false
                });
            }
        });
        Self { url, given }
    }

    fn given(&self) -> [usize; 2] {
        self.given.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn two_servers_on_one_redis_and_one_table_are_one_deployment() {
    let (redis, aws) = (RedisServer::start(false), Ministack::shared());
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (redis_url, aws_url, per_key) = (redis.url(), aws.url(), PER_KEY.to_string());
    let variables = [
        ("LEDGER_TABLE", "two-servers"),
        ("REDIS_URL", &*redis_url),
        ("QUEUE_URL", "redis"),
        ("TOKEN_KEY", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
        ("AWS_ENDPOINT_URL", &*aws_url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("LIMIT_REQUESTS_PER_KEY", &*per_key),
    ];
    let run = |arguments: &[&str]| {
        let output = command(folders[0].path(), &variables).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    run(&["create-table"]);
    let make_key = || run(&["keys", "create", "--workspace", "acme", "--scopes", "actions:preview,actions:execute"]);
    let keys = [make_key(), make_key(), make_key()];
    let mut servers = folders.each_ref().map(|folder| Server::start(folder.path(), &variables));
    let address = |server: &Server| server.url.trim_start_matches("http://").parse().unwrap();
    let balancer = Balancer::start(servers.each_ref().map(address)).await;
    let [first, second] = servers.each_ref().map(|server| server.client().with_key(&keys[0]));
    let through = first.through(&balancer.url);

    // Planned at the one, executed at the other, seen at both.
    let plan = first.post("/ai/plan2", &json!({ "prompt": "Send email to john@example.com saying thanks" })).await;
    let accepted = second.post("/ai/execute", &json!({ "plan_id": plan.body["plan"]["plan_id"] })).await;
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let id = accepted.body["job_ids"][0].as_str().unwrap();
    for client in [&first, &second] {
        assert_eq!(client.ended(id).await["status"], "completed");
    }

    // The same request at both at once is one job, and one mail.
    let mut both = JoinSet::new();
    for number in 0..16 {
        let (client, through) = ([first.clone(), second.clone()][number % 2].clone(), through.clone());
        both.spawn(async move {
            let client = if number < 8 { client } else { through };
            let body = json!({ "actions": [gmail("at once", "Once")], "actor_id": "ana@example.com" });
            let reply = client.post("/ai/execute", &body).await;
            assert_eq!(reply.status, 202, "{}", reply.body);
            let job = &reply.body["jobs"][0];
            (job["job_id"].as_str().unwrap().to_owned(), job["replayed"] == true)
        });
    }
    let answers = both.join_all().await;
    let ids: BTreeSet<&str> = answers.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!((ids.len(), answers.iter().filter(|(_, replayed)| !replayed).count()), (1, 1), "{answers:?}");
    first.ended(ids.first().unwrap()).await;
    let outbox = second.get("/dev/outbox").await.body;
    let subjects = outbox["data"].as_array().unwrap().iter().filter(|mail| mail["subject"] == "Once");
    assert_eq!((subjects.count(), second.counts().await), (1, (2, 2)), "{outbox}");

    // A limit is one for both.
    let limited = through.with_key(&keys[1]);
    let mut passed = 0;
    for _ in 0..PER_KEY + 10 {
        let status = limited.get("/actions").await.status;
        assert!(status == 200 || status == 429, "{status}");
        passed += usize::from(status == 200);
    }
    assert_eq!(passed, PER_KEY);
    assert!(balancer.given().iter().all(|given| *given > PER_KEY / 3), "{:?}", balancer.given());

    // A revoked key is refused at both at once.
    let revoked = servers.each_ref().map(|server| server.client().with_key(&keys[2]));
    for client in &revoked {
        assert_eq!(client.get("/actions").await.status, 200);
    }
    run(&["keys", "revoke", keys[2].split('_').nth(1).unwrap()]);
    for client in &revoked {
        assert_eq!(client.get("/actions").await.status, 401);
    }

    // One alone goes on.
    servers[0].kill();
    let id = through.execute(gmail("alone", "Alone")).await;
    assert_eq!(second.ended(&id).await["status"], "completed");
}
