//! From any thread, inside and outside any runtime.

use std::time::Duration;

use axiom_local::Server;

use crate::common::{builder, diagnose};

const LONG: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "current_thread")]
async fn inside_a_runtime_of_one_thread() {
    let server = Server::start().unwrap();
    assert!(diagnose(&builder(server.url()), LONG).is_healthy());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn inside_a_blocking_task_others_go_on() {
    let server = Server::start().unwrap();
    let builder = builder(server.url());
    let diagnosis = tokio::task::spawn_blocking(move || builder.doctor()).await;
    assert!(diagnosis.unwrap().is_healthy());
}

#[test]
fn in_many_threads_at_once() {
    let server = Server::start().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(diagnose(&builder(server.url()), LONG).is_healthy()));
        }
    });
    assert_eq!(server.ingested_in("logs"), 8);
    assert_eq!(server.violations(), []);
}
