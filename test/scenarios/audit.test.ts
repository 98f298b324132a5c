import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { z } from 'zod';
import {
  childRun,
  durable,
  embedded,
  runId,
  StorageFullError,
  tool,
  ValidationError,
  type AuditAction,
  type AuditOptions,
  type AuditRow,
  type Backend,
  type BackendFactory,
} from '../../src/index.ts';
import { CONTROL, inboxOf } from '../../src/protocol/ids.ts';
import { RunHandle } from '../../src/run.ts';
import { Troupe } from '../../src/troupe.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';
import { openedWith } from '../support/opened.ts';

/** Who asked for what, when and why, what was decided and what it cost. */

const opened = openedWith({ report: () => {} });

async function auditOf(troupe: Troupe, options?: AuditOptions): Promise<AuditRow[]> {
  const rows: AuditRow[] = [];
  for await (const row of troupe.audit(options)) rows.push(row);
  return rows;
}
const actionsOf = (rows: readonly AuditRow[]): AuditAction[] => rows.map(({ action }) => action);

const add = tool({
  name: 'add',
  description: 'Adds',
  inputSchema: z.object({ a: z.number() }),
  effect: 'read',
  execute: ({ a }) => ({ sum: a + 1 }),
});
const send = tool({
  name: 'send',
  description: 'Sends a mail',
  inputSchema: z.object({ to: z.string() }),
  needsApproval: true,
  approvers: ['ana', 'troupe', 'bob'],
  execute: ({ to }) => ({ id: to }),
});

/** A verb that asks for something: it does so, named or not, and says which row that is. */
type Asks = (store: FaultyStore, troupe: Troupe, asking: { by?: string }) => Promise<AuditAction>;
/** A question, or something of this process alone: nothing is asked of a run. */
const NOTHING = 'asks for nothing';

const works = (troupe: Troupe) => troupe.start(new Working().definition(), undefined, { id: 'x', by: 'starter' });
const waits = (troupe: Troupe) => troupe.start(send, { to: 'eve' }, { id: 'x', by: 'starter' });

const OF_TROUPE: Record<string, Asks | typeof NOTHING> = {
  start: async (_, troupe, asking) => {
    await troupe.start(add, { a: 1 }, asking);
    return 'start';
  },
  execute: async (_, troupe, asking) => {
    await troupe.execute(add, { a: 1 }, asking);
    return 'start';
  },
  fork: async (_, troupe, asking) => {
    await works(troupe);
    await troupe.fork('x', asking);
    return 'fork';
  },
  kill: async (_, troupe, asking) => {
    await works(troupe);
    await troupe.kill('x', 'why', asking);
    return 'kill';
  },
  lift: async (_, troupe, asking) => {
    await troupe.kill({ all: true }, 'why', { by: 'killer' });
    await troupe.lift({ all: true }, asking);
    return 'lift';
  },
  setBudget: async (_, troupe, asking) => {
    await troupe.setBudget({ tenant: 'acme', period: '1d', tokens: 5, ...asking });
    return 'setBudget';
  },
  attach: NOTHING,
  recover: NOTHING,
  switches: NOTHING,
  replay: NOTHING,
  diff: NOTHING,
  stored: NOTHING,
  budgetOf: NOTHING,
  audit: NOTHING,
  counts: NOTHING,
  runs: NOTHING,
  close: NOTHING,
};

const OF_RUN: Record<string, Asks | typeof NOTHING> = {
  send: async (_, troupe, asking) => {
    await (await works(troupe)).send({ type: 'GO' } as never, asking);
    return 'send';
  },
  pause: async (_, troupe, asking) => {
    await (await works(troupe)).pause('why', asking);
    return 'pause';
  },
  resume: async (_, troupe, asking) => {
    const run = await works(troupe);
    await run.pause('why', { by: 'pauser' });
    await run.resume(asking);
    return 'resume';
  },
  checkpoint: async (_, troupe, asking) => {
    await (await works(troupe)).checkpoint('v1', asking);
    return 'checkpoint';
  },
  approve: async (_, troupe, asking) => {
    await (await waits(troupe)).approve('body', asking);
    return 'approve';
  },
  deny: async (_, troupe, asking) => {
    await (await waits(troupe)).deny('body', asking);
    return 'deny';
  },
  resolve: async (store, _, asking) => {
    const doubtful = new Working().definition('irreversible');
    const first = await opened({ backend: store });
    await first.start(doubtful, undefined, { id: 'doubtful', by: 'starter' });
    await first.close();
    const second = await opened({ backend: store, definitions: [doubtful], principal: 'troupe' });
    const run = await second.attach('doubtful');
    await run.resolve('body/work', { output: 1 }, asking);
    return 'resolve';
  },
  kill: async (_, troupe, asking) => {
    await (await works(troupe)).kill('why', asking);
    return 'kill';
  },
  status: NOTHING,
  can: NOTHING,
  getSnapshot: NOTHING,
  subscribe: NOTHING,
  onEmitted: NOTHING,
  on: NOTHING,
  approvals: NOTHING,
  inDoubt: NOTHING,
  pending: NOTHING,
  entries: NOTHING,
  settled: NOTHING,
  summary: NOTHING,
  result: NOTHING,
};

describe('every command carries who asks', () => {
  test('and there is no verb that nobody has thought of here', () => {
    const verbsOf = (prototype: object): string[] =>
      Object.getOwnPropertyNames(prototype).filter((name) => name !== 'constructor');
    expect(verbsOf(Troupe.prototype).toSorted()).toEqual(Object.keys(OF_TROUPE).toSorted());
    expect(verbsOf(RunHandle.prototype).toSorted()).toEqual(Object.keys(OF_RUN).toSorted());
  });

  const asking = [...Object.entries(OF_TROUPE), ...Object.entries(OF_RUN)].filter(
    (verb): verb is [string, Asks] => verb[1] !== NOTHING,
  );
  test.each(asking)('%s, named or as the troupe', async (_, asks) => {
    for (const [given, by] of [
      [{ by: 'bob' }, 'bob'],
      [{}, 'troupe'],
    ] as const) {
      const store = new FaultyStore();
      const troupe = await opened({ backend: store, principal: 'troupe' });
      const action = await asks(store, troupe, given);
      const rows = (await auditOf(troupe)).filter((row) => row.action === action && row.by !== 'starter');
      expect(rows.map((row) => row.by)).toEqual([by]);
    }
  });

  test('a kill of many: on record as that, and with each run', async () => {
    const troupe = await opened();
    const run = await troupe.start(new Working().definition(), undefined, { id: 'x', tenant: 'acme' });
    await troupe.kill({ tenant: 'acme' }, 'overdue', { by: 'bob' });
    expect(await auditOf(troupe, { by: 'bob' })).toMatchObject([
      { action: 'kill', run: null, tenant: 'acme', about: 'tenant/acme', reason: 'overdue' },
      { action: 'kill', run: run.id, tenant: 'acme', reason: 'overdue' },
    ]);
  });

  test('a signal of a start that found the run there kills it, too', async () => {
    const troupe = await opened();
    const aborting = new AbortController();
    const definition = new Working().definition();
    const run = await troupe.start(definition, undefined, { id: 'x' });
    await troupe.start(definition, undefined, { id: 'x', by: 'bob', signal: aborting.signal });
    aborting.abort();
    await run.result();
    expect(run.status).toBe('killed');
  });

  test('a signal that aborts: whoever had started it', async () => {
    const troupe = await opened();
    const aborting = new AbortController();
    const run = await troupe.start(new Working().definition(), undefined, { by: 'bob', signal: aborting.signal });
    aborting.abort();
    await run.result();
    expect((await auditOf(troupe)).find(({ action }) => action === 'kill')).toMatchObject({ by: 'bob' });
  });

  test('what another process asks for, and what it is refused', async () => {
    const store = new FaultyStore();
    const owner = await opened({ backend: store, definitions: [send] });
    const other = await opened({ backend: store, definitions: [send] });
    await owner.start(send, { to: 'eve' }, { id: 'x', by: 'ana' });
    const far = await other.attach('x');
    const { hash = '' } = (await far.approvals())[0] ?? {};
    await expect(far.approve('body', { by: 'mallory', hash })).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
    await far.approve('body', { by: 'bob', hash });
    await (await owner.attach('x')).result();
    const rows = await auditOf(other, { run: 'x' });
    expect(actionsOf(rows)).toEqual(['start', 'refuse', 'approve', 'call', 'end']);
    expect(rows[1]).toMatchObject({ by: 'mallory', about: 'approve', error: 'NOT_ALLOWED', cause: 'inbox/1' });
    expect(rows[2]).toMatchObject({ by: 'bob', about: 'body', hash, cause: 'inbox/2' });
    expect(rows[3]).toMatchObject({ by: 'ana', source: 'send', effect: 'irreversible', outcome: 'succeeded' });
  });
});

describe('what is asked of more than one run', () => {
  test('is on record for good, whoever reads it', async () => {
    const store = new FaultyStore();
    const clock = new SimulatedClock();
    const first = await opened({ backend: store, clock });
    await first.setBudget({ tenant: 'acme', period: '1h', tokens: 5, perRun: { tokens: 1 }, by: 'ana' });
    await first.kill({ definition: 'add' }, 'broken', { by: 'bob' });
    expect(await first.lift({ definition: 'add' }, { by: 'cy' })).toBe(true);
    // Nothing is lifted: nothing to tell.
    expect(await first.lift({ definition: 'add' }, { by: 'dan' })).toBe(false);
    await first.close();
    const second = await opened({ backend: store, clock });
    expect(await auditOf(second)).toMatchObject([
      {
        seq: 1,
        run: null,
        by: 'ana',
        action: 'setBudget',
        tenant: 'acme',
        about: 'period/3600000',
        limits: { tokens: 5 },
      },
      { seq: 2, run: null, by: 'bob', action: 'kill', tenant: null, about: 'definition/add', reason: 'broken' },
      { seq: 3, run: null, by: 'cy', action: 'lift', about: 'definition/add', reason: null },
    ]);
    expect(await second.runs()).toEqual([]);
  });

  test('stands between what was before and what came after', async () => {
    const clock = new SimulatedClock();
    const troupe = await opened({ clock });
    await troupe.execute(add, { a: 1 }, { id: 'z-first' });
    clock.increment(1_000);
    await troupe.setBudget({ tenant: 'acme', period: '1h', tokens: 5 });
    clock.increment(1_000);
    await troupe.execute(add, { a: 1 }, { id: 'a-second' });
    const rows = await auditOf(troupe);
    expect(rows.map(({ run, action }) => `${run} ${action}`)).toEqual([
      'z-first start',
      'z-first call',
      'z-first end',
      'null setBudget',
      'a-second start',
      'a-second call',
      'a-second end',
    ]);
    const since = rows[3]?.at ?? 0;
    expect(await auditOf(troupe, { since })).toEqual(rows.slice(3));
    expect(await auditOf(troupe, { run: 'z-first' })).toEqual(rows.slice(0, 3));
    expect(await auditOf(troupe, { tenant: 'acme' })).toEqual([rows[3]]);
  });

  test('is done where it is a kill, also when it cannot be recorded', async () => {
    const store = new FaultyStore();
    const reported: string[] = [];
    const troupe = await opened({ backend: store, report: (_, where) => void reported.push(where) });
    const run = await works(troupe);
    store.failOnce('append', new StorageFullError('no room', {}), inboxOf(CONTROL));
    const { runs } = await troupe.kill({ all: true }, 'stop', { by: 'bob' });
    expect(runs).toMatchObject([{ run: run.id, status: 'killed' }]);
    expect(reported).toEqual(['recording in the control log that a kill switch was thrown']);
    expect((await auditOf(troupe, { by: 'bob' })).map((row) => row.run)).toEqual([run.id]);
  });

  test('is on record before anybody is told that it is done', async () => {
    const store = new FaultyStore();
    const troupe = await opened({ backend: store });
    const held = store.holdOnce('append');
    let told = false;
    const killing = troupe.kill({ all: true }, 'stop').then(() => (told = true));
    await held.reached;
    for (let turns = 0; turns < 20; turns += 1) await turn();
    expect(told).toBe(false);
    held.release();
    await killing;
    expect(actionsOf(await auditOf(troupe))).toEqual(['kill']);
  });

  test('has a name that no run can have', async () => {
    const troupe = await opened();
    expect(() => runId('troupe')).toThrow(ValidationError);
    for (const refused of [
      troupe.start(add, { a: 1 }, { id: 'troupe' }),
      troupe.attach('troupe'),
      troupe.kill('troupe'),
      auditOf(troupe, { run: 'troupe' }),
    ])
      await expect(refused).rejects.toMatchObject({ code: 'VALIDATION', message: expect.stringContaining('reserved') });
  });
});

/** A store in memory, and the backend it opens. */
async function known(): Promise<{ backend: Backend; factory: BackendFactory }> {
  const backend = await embedded().open({ owner: 'o' as never, clock: new SimulatedClock() });
  return { backend, factory: { open: () => Promise.resolve(backend) } };
}
const garbage = (seq: number) => ({ seq, epoch: 9, bytes: new Uint8Array([1]), hash: new Uint8Array(32) });

describe('what cannot be read', () => {
  test('is a row, and hides nothing else', async () => {
    const { backend, factory } = await known();
    const troupe = await opened({ backend: factory });
    await troupe.execute(add, { a: 1 }, { id: 'good' });
    const damaged = await troupe.start(new Working().definition(), undefined, { id: 'bad', tenant: 'acme' });
    const { seq = 0 } = (await backend.journal.tail(damaged.id)) ?? {};
    await backend.journal.append(damaged.id, [garbage(seq + 1)], { epoch: 9, after: seq });
    await backend.journal.append(runId('worse'), [garbage(1)], { epoch: 9, after: 0 });
    await troupe.setBudget({ tenant: 'acme', period: '1h', tokens: 5 });
    await backend.journal.append(inboxOf(CONTROL), [garbage(2)], { epoch: 9, after: 1 });
    const rows = await auditOf(troupe);
    const unreadable = rows.filter(({ action }) => action === 'unreadable');
    expect(unreadable).toMatchObject([
      { run: 'worse', seq: 1, tenant: null },
      { run: null, seq: 2, error: 'CORRUPT_JOURNAL' },
      {
        run: 'bad',
        seq: seq + 1,
        tenant: 'acme',
        error: 'CORRUPT_JOURNAL',
        reason: expect.stringContaining('altered'),
      },
    ]);
    expect(actionsOf(rows.filter(({ run }) => run === 'good'))).toEqual(['start', 'call', 'end']);
    expect(actionsOf(rows)).toContain('setBudget');
    expect(await auditOf(troupe, { by: 'nobody', since: 2 ** 50 })).toEqual(unreadable);
    // Nobody knows whose it is.
    expect((await auditOf(troupe, { tenant: 'other' })).map(({ run }) => run)).toEqual(['worse', null]);
  });

  test('of a closed troupe is all of it', async () => {
    const troupe = await opened();
    await troupe.execute(add, { a: 1 });
    const rows = troupe.audit();
    await rows.next();
    await troupe.close();
    await expect(rows.next().then(() => rows.next())).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(auditOf(troupe)).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('is refused where it is asked for wrongly', async () => {
    const troupe = await opened();
    for (const wrong of [{ run: 'a b' }, { tenant: '*' }, { by: '' }, { since: NaN }])
      await expect(auditOf(troupe, wrong)).rejects.toMatchObject({ code: 'VALIDATION' });
    await expect(auditOf(troupe, { run: 'nobody' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

test('a run that works for another comes after it, and says for which call', async () => {
  const clock = new SimulatedClock();
  const troupe = await opened({ clock });
  const working = new Working();
  const machine = setup({ actors: { help: childRun(working.definition()) } }).createMachine({
    initial: 'asking',
    states: { asking: { invoke: { src: 'help', onDone: 'done' } }, done: { type: 'final' } },
  });
  await troupe.start(durable(machine, { name: 'parent', version: '1' }), undefined, { id: 'zz', by: 'ana' });
  await until(() => working.running === 1, 'it works');
  await troupe.kill('zz', 'no more', { by: 'bob' });
  // Its call may have been cut short before its begin was on record.
  const rows = (await auditOf(troupe)).filter(({ action }) => action !== 'call');
  const child = rows.at(-1)?.run;
  expect(rows.map(({ run, action, by }) => [run, action, by])).toEqual([
    ['zz', 'start', 'ana'],
    ['zz', 'kill', 'bob'],
    ['zz', 'end', null],
    [child, 'start', 'zz'],
    [child, 'kill', 'bob'],
    [child, 'end', null],
  ]);
  expect(rows[3]?.cause).toBe('zz/body/help');
});

test('a fork is told once, and what it was forked from stays as it was told', async () => {
  const troupe = await opened();
  const run = await works(troupe);
  await run.checkpoint('here', { by: 'ana' });
  const before = await auditOf(troupe);
  const fork = await troupe.fork(run.id, { by: 'bob', id: 'y' });
  await until(() => fork.status === 'running', 'it runs');
  const rows = await auditOf(troupe);
  expect(rows.filter((row) => row.run === run.id)).toEqual(before);
  expect(rows.filter((row) => row.run === 'y')).toMatchObject([{ action: 'fork', by: 'bob', about: 'x/4' }]);
});

test('a fork stands where it was begun, not where what it has copied was', async () => {
  const clock = new SimulatedClock();
  const troupe = await opened({ clock });
  await works(troupe);
  clock.increment(1_000);
  const other = await troupe.start(send, { to: 'eve' }, { id: 'm' });
  clock.increment(1_000);
  const fork = await troupe.fork('x', { id: 'a' });
  const { createdAt, startedAt } = await fork.summary();
  expect([createdAt, startedAt]).toEqual([clock.now(), clock.now()]);
  expect((await troupe.runs()).map(({ run }) => run)).toEqual(['x', other.id, 'a']);
  const rows = await auditOf(troupe);
  expect(rows.map(({ run }) => run)).toEqual(['x', other.id, 'a']);
  expect(rows.map(({ at }) => at)).toEqual(rows.map(({ at }) => at).toSorted((a, b) => a - b));
});

test('what a run that nobody owned was asked, and refused, is told with that run, and with no other', async () => {
  const [store, clock] = [new FaultyStore(), new SimulatedClock()];
  const first = await opened({ backend: store, clock, definitions: [send] });
  for (const id of ['x', 'y']) await first.start(send, { to: 'eve' }, { id, by: 'ana' });
  await first.close();
  const second = await opened({ backend: store, clock, definitions: [send], recover: false });
  const run = await second.attach('x');
  clock.increment(1_000);
  await expect(run.approve('body', { by: 'mallory' })).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
  const rows = await auditOf(second, { run: 'x' });
  expect(actionsOf(rows)).toEqual(['start', 'refuse']);
  expect(rows[1]).toMatchObject({ by: 'mallory', about: 'approve', error: 'NOT_ALLOWED', run: null });
  expect(actionsOf(await auditOf(second, { run: 'y' }))).toEqual(['start']);
});

test('what was acknowledged, and not taken before the run had ended, is told as that', async () => {
  const store = new FaultyStore();
  const owner = await opened({ backend: store, definitions: [send] });
  const other = await opened({ backend: store, definitions: [send] });
  await owner.start(send, { to: 'eve' }, { id: 'x', tenant: 'acme', by: 'ana' });
  const far = await other.attach('x');
  // The owner looks into the inbox too late.
  const held = store.holdOnce('read');
  const { seq } = await far.checkpoint('c', { by: 'mallory' });
  await held.reached;
  await far.kill('stop', { by: 'bob' });
  held.release();
  const rows = await auditOf(other, { run: 'x' });
  expect(actionsOf(rows)).toEqual(['start', 'kill', 'end', 'refuse']);
  const reason = 'not taken: the run had ended';
  expect(rows[3]).toMatchObject({ by: 'mallory', about: 'checkpoint', tenant: 'acme', reason, cause: `inbox/${seq}` });
});
