//! What clients ask for: writes with and without conditions, under leases or not, reads, compactions.

use bytes::Bytes;

use super::host::Ticket;
use super::watchers::everything;
use super::world::World;
use crate::kv::{Compare, Op, Order, Target, Txn};
use crate::member::Input;
use crate::request;

const KEYS: u64 = 8;

impl World {
    /// One client asks for something.
    pub(super) fn client(&mut self) -> Result<(), String> {
        let leads = self.chance(60);
        let Some(id) = self.somebody(leads) else { return Ok(()) };
        match self.random.below(26) {
            0..=6 => {
                let op = self.put();
                self.write(id, Txn { then: vec![op], ..Txn::default() })
            }
            7..=8 => {
                let key = self.key();
                self.write(id, Txn { then: vec![Op::Delete { key, end: None }], ..Txn::default() })
            }
            9..=12 => {
                let key = self.key();
                let now = self.history.keys().get(&key).map_or(0, |kv| kv.mod_revision);
                let wanted = if self.chance(80) { now } else { now.saturating_sub(1) };
                let compare = Compare { key, end: None, target: Target::ModRevision(wanted), order: Order::Equal };
                let then = vec![self.put()];
                self.write(id, Txn { when: vec![compare], then, otherwise: Vec::new() })
            }
            13..=16 => {
                let number = self.history.begin(None);
                self.input(id, Input::Read(Ticket::Operation(number)))
            }
            17..=18 => self.read_locally(id),
            19..=24 => self.lease_client(),
            _ => {
                let upto = self.history.last().saturating_sub(self.random.below(30));
                self.note("compaction asked for");
                self.input(id, Input::Propose(request::encode_compaction(upto), Ticket::Nobody))
            }
        }
    }

    fn key(&mut self) -> Bytes {
        format!("k{}", self.random.below(KEYS)).into()
    }

    fn put(&mut self) -> Op {
        let key = self.key();
        let size = self.random.below(100) as usize;
        let leases = if self.chance(30) { self.leases.known() } else { Vec::new() };
        let lease = leases.get(size % leases.len().max(1)).copied().unwrap_or(0);
        Op::Put { key, value: vec![b'v'; size].into(), lease }
    }

    fn write(&mut self, id: u64, txn: Txn) -> Result<(), String> {
        let number = self.history.begin(Some(txn));
        self.trace(|| format!("operation {number} asks {id:x}"));
        let Some(txn) = self.history.operation(number).txn.clone() else { return Ok(()) };
        self.input(id, Input::Propose(request::encode_txn(&txn), Ticket::Operation(number)))
    }

    /// May be old, but must have been so.
    fn read_locally(&mut self, id: u64) -> Result<(), String> {
        let Some(life) = self.hosts.get(&id).and_then(|host| host.life.as_ref()) else { return Ok(()) };
        let page = life.read(&everything()).map_err(|error| error.to_string())?;
        let number = self.history.begin(None);
        self.history.read(number, &page, false)
    }
}
