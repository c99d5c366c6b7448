//! A watch stream with much to read: what its client asks for meanwhile does not wait for the end of that.

use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::watch_request::RequestUnion;

use super::calls::{Watches, prefix, put};
use super::server::Server;

const WRITES: usize = 3000;

#[tokio::test]
async fn requests_do_not_wait_for_a_backlog() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let channel = server.channel().await;
    // Far more than what the connection, and the server's buffers, take in advance.
    let value = "v".repeat(8 << 10);
    for at in 0..WRITES {
        put(&channel, &format!("k{}", at % 7), &value).await;
    }
    let mut watches = Watches::open(&channel);
    watches.create(pb::WatchCreateRequest { start_revision: 2, ..prefix("k", "l") });
    assert!(watches.next().await.created);
    let mut events = watches.next().await.events.len();
    assert!(events > 0 && events < WRITES);
    watches.create(prefix("other", ""));
    let mut told = watches.next().await;
    while !told.created {
        events += told.events.len();
        told = watches.next().await;
    }
    assert_eq!(told.watch_id, 1);
    assert!(events < WRITES / 2, "{events} events before another watch was begun");
    watches.ask(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: 0 }));
    while !told.canceled {
        told = watches.next().await;
        events += told.events.len();
    }
    assert_eq!(told.watch_id, 0);
    assert!(events < WRITES, "the history of a watch that was cancelled was sent to its end");
    // And nothing of it comes afterwards.
    put(&channel, "k0", "after").await;
    put(&channel, "other", "after").await;
    let next = watches.next().await;
    assert_eq!((next.watch_id, next.events.len()), (1, 1));
}
