//! What comes out of a member: parcels for others, answers, snapshots to be sent or saved.

use proto::log::SnapshotHead;
use proto::peer::Parcel;
use proto::peer::parcel::Body;

use super::host::{Host, Outbox, Ticket, receive};
use super::watchers::everything;
use super::world::{Event, World};
use crate::checkpoint;
use crate::kv::Error;
use crate::member::{Arrived, Done, Input};
use crate::options::Options as StoreOptions;
use crate::raft;
use crate::snapshot;
use crate::state::Outcome;

impl World {
    pub(super) fn take(&mut self, id: u64, outbox: Outbox) -> Result<(), String> {
        if outbox.elected {
            self.note("leader elected");
        }
        let Some(life) = self.hosts.get(&id).map(|host| host.lives) else { return Ok(()) };
        for (to, parcel) in outbox.parcels {
            self.send(id, to, parcel);
        }
        for (number, result) in outbox.answers {
            self.answered(id, number, result)?;
        }
        for (to, head, message) in outbox.snapshots {
            let time = 5 + self.random.below(500);
            self.after(time, Event::Ship { from: id, life, to, head, message });
        }
        for head in outbox.saves {
            let time = 5 + self.random.below(1000);
            self.after(time, Event::Save { id, life, head });
        }
        Ok(())
    }

    fn answered(&mut self, id: u64, ticket: Ticket, result: Result<Done, Error>) -> Result<(), String> {
        let number = match ticket {
            Ticket::Operation(number) => number,
            Ticket::Lease(number) => return self.lease_answered(id, number, result),
            Ticket::Nobody => {
                match result {
                    Ok(Done::Applied(Outcome::Compacted)) => self.note("compaction"),
                    Ok(Done::Applied(Outcome::Void)) => self.note("expiry of another term"),
                    _ => {}
                }
                return Ok(());
            }
        };
        self.trace(|| format!("operation {number} is answered {result:?}"));
        match result {
            Ok(Done::Applied(Outcome::Txn(reply))) => self.history.wrote(number, &reply),
            Ok(Done::Readable) => {
                let Some(life) = self.hosts.get(&id).and_then(|host| host.life.as_ref()) else { return Ok(()) };
                let page = life.read(&everything()).map_err(|error| error.to_string())?;
                self.history.read(number, &page, true)
            }
            Ok(other) => Err(format!("operation {number} is answered {other:?}")),
            Err(error) => {
                if let (Error::NoLease, Some(lease)) = (&error, self.history.operation(number).lease()) {
                    self.leases.missing(lease)?;
                }
                self.history.failed(number, &error)
            }
        }
    }

    fn send(&mut self, from: u64, to: u64, parcel: Parcel) {
        if self.chance(self.network.lost) {
            return;
        }
        // A stream does not double; raft must do without that promise, requests that are handed on need not.
        let raft = matches!(parcel.body, Some(Body::Raft(_)));
        if self.chance(self.network.doubled) && raft {
            let time = 1 + self.random.below(3 * self.network.delay);
            self.after(time, Event::Deliver { from, to, parcel: parcel.clone() });
        }
        let time = 1 + self.random.below(self.network.delay);
        self.after(time, Event::Deliver { from, to, parcel });
    }

    pub(super) fn ship(
        &mut self,
        from: u64,
        life: u64,
        to: u64,
        head: &SnapshotHead,
        message: raft::Message,
    ) -> Result<(), String> {
        let lost = self.chance(10) || self.cut.contains(&(from, to));
        let Some(sender) = self.hosts.get(&from).filter(|host| host.lives == life) else { return Ok(()) };
        let Some(sender) = sender.life.as_ref() else { return Ok(()) };
        let (term, mut bytes) = (message.term, Vec::new());
        let encoded = snapshot::encode(&sender.core, head, &mut |part| {
            bytes.extend_from_slice(part);
            Ok(())
        });
        sender.core.state.write().end_save(head);
        let received = match self.hosts.get(&to).filter(|host| host.life.is_some() && !lost && encoded.is_ok()) {
            None => None,
            Some(host) => receive(&host.disk, from, head.index, &bytes).ok().and_then(|file| {
                let (state, head) = snapshot::load_file(&host.disk, file.path(), head.index).ok()?;
                Some(Box::new(Arrived { file, head, state, message }))
            }),
        };
        let ok = received.is_some();
        if self.hosts.get(&to).is_some_and(|host| host.disk.is_dead()) {
            self.crash(to);
            self.after(1000, Event::Start(to));
        }
        if let Some(arrived) = received {
            let applied = |world: &Self| {
                let core = world.hosts.get(&to).and_then(Host::core);
                core.map_or(u64::MAX, |core| core.state.read().applied().index)
            };
            let before = applied(self);
            self.input(to, Input::Arrived(arrived))?;
            if (before + 1..=applied(self)).contains(&head.index) {
                self.note("snapshot installed");
            }
        }
        self.input(from, Input::Sent { to, term, index: head.index, ok })
    }

    pub(super) fn save(&mut self, id: u64, life: u64, head: &SnapshotHead) -> Result<(), String> {
        let Some(host) = self.hosts.get(&id).filter(|host| host.lives == life) else { return Ok(()) };
        let Some(alive) = host.life.as_ref() else { return Ok(()) };
        let result = checkpoint::write(&alive.core, &host.disk, &StoreOptions::in_memory().dir, head);
        alive.core.state.write().end_save(head);
        if result.is_ok() {
            *self.seen.entry("snapshot saved").or_default() += 1;
        }
        self.input(id, Input::Saved(head.index, result))
    }
}
