import type { Bus } from '../../../backend.ts';
import { OverloadedError } from '../../../protocol/errors.ts';
import type { Subject } from '../../../protocol/subject.ts';
import { checkMs, checkPattern, checkPayload, checkSubject } from '../check.ts';
import { Exchange } from '../exchange.ts';
import { Requests, unreachable } from '../requests.ts';
import { digest, sameBytes } from './digest.ts';
import { explain } from './failure.ts';
import type { Store } from './open.ts';

/** Whoever stood still for longer has missed something. */
const KEPT_MS = 60_000;
const KEPT = 1 << 16;
/** Of what is too old so much is removed with one of so many messages. */
const PRUNE_EVERY = 64;
const PRUNE = 1_024;
const PAGE = 64;
const MAX_WRITING = 1 << 14;
const MAX_WRITING_BYTES = 1 << 26;

/** What is written for other processes. Without a subject it is the answer to the request `reply`, which is `<owner>.<number>`. */
interface Signal {
  subject: string | null;
  reply: string | null;
  payload: Uint8Array;
}

/**
 * Within the process by the exchange; to others by a table of signals, which they read when somebody has written.
 *
 * B1. Ids are dense: the newest signal is never removed. One that is missing before the next was removed unread.
 * B2. While nobody else has this directory open nobody else can have subscribed: then nothing is written.
 */
export function sqliteBus(store: Store): { bus: Bus; closeBus: (error: unknown) => void } {
  const { db, file, owner, clock, group, poll, ends, use, attempt, isAlone } = store;
  const insert = db.prepare('INSERT INTO signals (at, owner, subject, reply, hash, payload) VALUES (?, ?, ?, ?, ?, ?)');
  const prune = db.prepare(
    `DELETE FROM signals WHERE (at < ? OR id <= ?) AND id IN (SELECT id FROM signals ORDER BY id LIMIT ${PRUNE})`,
  );
  const newest = db.prepare('SELECT max(id) AS id FROM signals');
  const page = db.prepare(`SELECT id, owner, subject, reply FROM signals WHERE id > ? ORDER BY id LIMIT ${PAGE}`);
  const body = db.prepare('SELECT hash, payload FROM signals WHERE id = ?');

  const exchange = new Exchange(clock);
  const requests = new Requests(clock);
  let listening = 0;
  /** The newest signal that this process has read. */
  let seen = 0;
  let written = 0;
  const writing = { count: 0, bytes: 0 };

  const nameOf = (subject: string | null, reply: string | null): string => `${subject ?? ''} ${reply ?? ''} `;

  const write = async ({ subject, reply, payload }: Signal): Promise<void> => {
    const what = subject ?? 'The answer';
    if (writing.count >= MAX_WRITING || writing.bytes + payload.byteLength > MAX_WRITING_BYTES)
      throw new OverloadedError(`${what} was not published: ${writing.count} signals wait to be written already.`, {
        waiting: writing.count,
        bytes: writing.bytes,
      });
    writing.count += 1;
    writing.bytes += payload.byteLength;
    const hash = digest(nameOf(subject, reply), payload);
    try {
      await group.submit(() => {
        const id = Number(insert.run(clock.now(), owner, subject, reply, hash, payload).lastInsertRowid);
        if ((written += 1) % PRUNE_EVERY === 0) prune.run(clock.now() - KEPT_MS, id - KEPT);
      }, 'hint');
    } catch (error) {
      throw explain(error, `publish ${what}`, file);
    } finally {
      writing.count -= 1;
      writing.bytes -= payload.byteLength;
    }
  };

  const publish = (subject: Subject, payload: Uint8Array, id?: number): Promise<void> => {
    const alone = isAlone();
    exchange.publish(
      subject,
      payload,
      id === undefined ? undefined : (answer) => requests.answer(id, checkPayload(answer)),
    );
    return alone ? Promise.resolve() : write({ subject, reply: id === undefined ? null : `${owner}.${id}`, payload });
  };

  const answering =
    (reply: string) =>
    (answer: Uint8Array): void => {
      use();
      write({ subject: null, reply, payload: checkPayload(answer) }).catch(() => {
        // Whoever asked will find that nobody has answered in time.
      });
    };

  /** @returns false if it could not be read */
  const hear = (row: Record<string, unknown>): boolean => {
    const { id, subject, reply } = row as { id: number; subject: Subject | null; reply: string | null };
    if (row['owner'] === owner) return true;
    const isOurs = subject === null ? reply?.startsWith(`${owner}.`) === true : exchange.listens(subject);
    if (!isOurs) return true;
    const { hash, payload } = body.get(id) ?? {};
    if (!(payload instanceof Uint8Array) || !sameBytes(hash, digest(nameOf(subject, reply), payload))) return false;
    if (subject === null) requests.answer(Number(reply?.slice(owner.length + 1)), payload);
    else exchange.tellFrom({ subject, payload, reply: reply === null ? undefined : answering(reply), place: id });
    return true;
  };

  function* look(moved: boolean): Generator<void> {
    if (!moved) return;
    let missed = false;
    try {
      for (let rows = page.all(seen); rows.length > 0 && listening > 0; rows = page.all(seen))
        for (const row of rows) {
          missed ||= row['id'] !== seen + 1;
          seen = Number(row['id']);
          if (!hear(row)) missed = true;
          yield;
        }
    } catch {
      missed = true;
    }
    if (missed) exchange.missed();
  }

  /** While it is not ended, which is done once, what others publish is read. @throws StorageError */
  const listen = (): { since: number; end: () => void } => {
    const since = attempt('listen to other processes', () => Number(newest.get()?.['id'] ?? 0));
    if (listening === 0) seen = since;
    listening += 1;
    const end = poll.during(look);
    return {
      since,
      end: () => {
        listening -= 1;
        end();
      },
    };
  };

  return {
    bus: {
      async publish(subject, payload) {
        use();
        checkSubject(subject);
        await publish(subject, checkPayload(payload));
      },
      subscribe(pattern, listener) {
        use();
        checkPattern(pattern);
        const { since, end } = listen();
        return ends.add(exchange.subscribe(pattern, listener, since), end);
      },
      async request(subject, payload, { timeoutMs }) {
        use();
        checkSubject(subject);
        checkMs(timeoutMs, 'timeoutMs', 1);
        const asked = checkPayload(payload);
        if (isAlone() && !exchange.listens(subject)) throw unreachable(subject, 'nobody listens');
        const { end } = listen();
        const unlisten = ends.add(end);
        try {
          return await requests.ask(subject, timeoutMs, (id) => publish(subject, asked, id));
        } finally {
          unlisten();
        }
      },
    },
    closeBus: (error) => requests.close(error),
  };
}
