//! Whether memory grows with the jobs that were ever done.

use std::path::Path;

use crate::{client::Client, requests, stage::Stage};

/// The memory of one process while it takes and works so many jobs, ten a request, and after.
pub async fn run(program: &Path, jobs: usize) {
    let stage = Stage::start(program, &[]);
    let mut client = Client::connect(&stage.server.url, None).await;
    let mib = || stage.server.resident_kib() as f64 / 1024.0;
    println!("| jobs that have ended | memory in use |\n| --- | --- |\n| 0 | {:.1} MiB |", mib());
    let mut done = 0;
    for mark in [jobs / 100, jobs / 10, jobs / 2, jobs] {
        while done < mark {
            let last = requests::execute_ten(&mut client).await;
            done += 10;
            if done % 1000 == 0 || done >= mark {
                requests::until_ended(&mut client, &last).await;
            }
        }
        println!("| {mark} | {:.1} MiB |", mib());
    }
}
