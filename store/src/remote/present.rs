//! What "now" is: asks the store for its revision, and waits until this process has seen everything up to it.
//!
//! However many ask, one question is under way at a time. Who comes while it is gets the answer to the next one: an answer may only
//! be given to a question that was asked after.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::calls;
use super::hub::Hub;
use super::links::Links;
use crate::kv::{Error, Revision};

/// How long seeing a revision may take once the store has named it.
const SEEING: Duration = Duration::from_secs(5);
/// Askers that wait for their turn; more wait before they have asked.
const WAITING: usize = 1024;

type Asker = oneshot::Sender<Result<Revision, Error>>;

/// Asks; see the module's header.
pub(crate) struct Present {
    askers: mpsc::Sender<Asker>,
    hub: Arc<Hub>,
    wanted: Arc<watch::Sender<Revision>>,
}

impl Present {
    /// The asking side, and the task that answers.
    pub(crate) fn new(
        links: Arc<Links>,
        hub: Arc<Hub>,
        wanted: Arc<watch::Sender<Revision>>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (askers, queue) = mpsc::channel(WAITING);
        (Self { askers, hub, wanted }, answer(links, queue))
    }

    /// The store's revision, once it has been seen here.
    pub(crate) async fn revision(&self) -> Result<Revision, Error> {
        let stopped = || Error::Unavailable("the store's client is stopped".into());
        let (asker, answer) = oneshot::channel();
        self.askers.send(asker).await.map_err(|_| stopped())?;
        let revision = answer.await.map_err(|_| stopped())??;
        self.hub.learn(revision);
        if self.hub.head() < revision {
            self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, revision.max(*wanted)) < revision);
            let mut head = self.hub.follow();
            let seen = timeout(SEEING, head.wait_for(|head| *head >= revision)).await;
            if !matches!(seen, Ok(Ok(_))) {
                return Err(Error::Unavailable("the watch of the store is behind".into()));
            }
        }
        Ok(revision)
    }
}

async fn answer(links: Arc<Links>, mut queue: mpsc::Receiver<Asker>) {
    while let Some(first) = queue.recv().await {
        let mut askers = vec![first];
        while let Ok(asker) = queue.try_recv() {
            askers.push(asker);
        }
        let revision = calls::revision(&links).await;
        for asker in askers {
            // Whoever has gone does not want to know.
            let _ = asker.send(revision.clone());
        }
    }
}
