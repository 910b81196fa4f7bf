//! A decoder in a thread of its own, some buffers ahead of whoever unpacks.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

/// Bytes of one buffer.
const BUFFER: usize = 256 << 10;
/// Buffers that wait.
const AHEAD: usize = 8;

/// What a thread has read; ends where it ends, with its error.
pub(crate) struct Ahead {
    full: Receiver<io::Result<Vec<u8>>>,
    empty: SyncSender<Vec<u8>>,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
}

/// Reads `input` in a thread of `scope`, which ends when all is read or when nobody listens any more.
pub(crate) fn read<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    input: Box<dyn Read + Send + 'scope>,
) -> io::Result<Ahead> {
    let (filled, full) = sync_channel(AHEAD);
    let (empty, used) = sync_channel(AHEAD + 2);
    std::thread::Builder::new()
        .name("decoder".to_owned())
        .spawn_scoped(scope, move || pump(input, &filled, &used))?;
    Ok(Ahead { full, empty, buffer: Vec::new(), at: 0, ended: false })
}

fn pump(mut input: Box<dyn Read + Send + '_>, filled: &SyncSender<io::Result<Vec<u8>>>, used: &Receiver<Vec<u8>>) {
    loop {
        let mut buffer = used.try_recv().unwrap_or_default();
        buffer.resize(BUFFER, 0);
        let result = fill(&mut input, &mut buffer);
        let last = !matches!(result, Ok(1..));
        let message = result.map(|count| {
            buffer.truncate(count);
            buffer
        });
        if filled.send(message).is_err() || last {
            return;
        }
    }
}

/// The whole buffer, or what is left.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match input.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(count)
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.buffer.len() && !self.ended {
            // The thread takes used buffers where it finds some, and makes one else.
            self.empty.try_send(std::mem::take(&mut self.buffer)).ok();
            self.at = 0;
            match self.full.recv() {
                Ok(Ok(buffer)) => self.buffer = buffer,
                Ok(Err(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                Err(_) => self.ended = true,
            }
            self.ended |= self.buffer.is_empty();
        }
        let count = (self.buffer.len() - self.at).min(into.len());
        into[..count].copy_from_slice(&self.buffer[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
