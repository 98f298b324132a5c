import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { audited, auditStore } from '../../src/audit.ts';
import { Ledger } from '../../src/ledger.ts';
import { add, amount, amountOf, limitsOf } from '../../src/protocol/amount.ts';
import type { AuditRow } from '../../src/protocol/audit.ts';
import { isEnd, type Entry, type EntryEvents, type EntryType, type Limits } from '../../src/protocol/entry.ts';
import { DEFAULT_TENANT, runId } from '../../src/protocol/ids.ts';
import { Process } from '../support/stage.ts';
import { references } from '../support/machines/index.ts';

const CREATED: EntryEvents['run.created'] = {
  definition: 'checkout',
  version: '2',
  chart: 'c',
  input: { secret: 'hunter2' },
  owner: 'o',
  by: 'ana',
  tenant: DEFAULT_TENANT,
  budget: { tokens: 100, onExhausted: 'pause' },
  parent: null,
  origins: [],
  spec: null,
};

type Happened = { [T in EntryType]: readonly [type: T, event: EntryEvents[T], target?: string] }[EntryType];
/** Of one run, one second apart. */
const journal = (...happened: readonly Happened[]): Entry[] =>
  happened.map(
    ([type, event, target = 'run'], index) =>
      ({ v: 1, run: 'r', seq: index + 1, epoch: 1, at: index * 1_000, type, target, event, cause: index }) as Entry,
  );
const begun = (...happened: readonly Happened[]): Entry[] =>
  journal(['run.created', CREATED], ['run.started', null], ...happened);
const rowsOf = (entries: readonly Entry[]): AuditRow[] => Array.from(audited(entries));
/** What came after the start. */
const after = (...happened: readonly Happened[]): AuditRow[] => rowsOf(begun(...happened)).slice(1);

const CALL = 'body/charge';
const started = (attempt = 1, more: Partial<EntryEvents['leaf.started']> = {}): Happened => [
  'leaf.started',
  { effect: 'irreversible', attempt, input: { secret: 'hunter2' }, reserved: { tokens: 9, toolCalls: 1 }, ...more },
  CALL,
];
const succeeded = (more: Partial<EntryEvents['leaf.succeeded']> = {}): Happened => [
  'leaf.succeeded',
  { output: { secret: 'hunter2' }, cost: { tokens: 4, toolCalls: 1 }, ...more },
  CALL,
];
const error = { name: 'E', code: 'AUTH', message: 'the key hunter2 is wrong' };

describe('what somebody asked for', () => {
  test('is a row that says who, when, and what led to it', () => {
    expect(rowsOf(begun())).toEqual([
      {
        v: 1,
        at: 1_000,
        run: 'r',
        seq: 2,
        tenant: 'default',
        by: 'ana',
        action: 'start',
        about: 'checkout@2',
        source: null,
        effect: null,
        attempt: null,
        hash: null,
        outcome: null,
        reason: null,
        error: null,
        limits: { tokens: 100 },
        cost: null,
        durationMs: null,
        cause: null,
      },
    ]);
    const parent = { run: runId('p'), call: 'body/child' };
    const [row] = rowsOf(journal(['run.created', { ...CREATED, by: 'p', parent }], ['run.started', null]));
    expect(row).toMatchObject({ action: 'start', by: 'p', cause: 'p/body/child' });
  });

  test.each<[Happened, Partial<AuditRow>]>([
    [['run.paused', { reason: 'lunch', by: 'bob' }], { action: 'pause', by: 'bob', reason: 'lunch' }],
    [
      ['run.resumed', { by: 'bob', budget: { usd: 2, reserve: { usd: 1 } } }],
      { action: 'resume', by: 'bob', limits: { usd: 2 } },
    ],
    [['run.resumed', { by: 'bob', budget: null }], { action: 'resume', limits: null }],
    [['checkpoint', { label: 'v1', by: 'bob' }], { action: 'checkpoint', by: 'bob', about: 'v1' }],
    [
      ['message.received', { event: { type: 'PAY' }, by: 'bob' }, 'body'],
      { action: 'send', by: 'bob', about: 'PAY', cause: 2 },
    ],
    [
      ['message.received', { event: { type: 'troupe.approve', hash: 'h' } as never, by: 'bob' }, CALL],
      { action: 'approve', by: 'bob', about: CALL, hash: 'h' },
    ],
    [
      ['message.received', { event: { type: 'troupe.deny', hash: 'h', reason: 'no' } as never, by: 'bob' }, CALL],
      { action: 'deny', by: 'bob', about: CALL, hash: 'h', reason: 'no' },
    ],
    [
      ['message.received', { event: { type: 'troupe.resolve', output: 'hunter2' } as never, by: 'bob' }, CALL],
      { action: 'resolve', by: 'bob', about: CALL, outcome: 'succeeded' },
    ],
    [
      ['message.received', { event: { type: 'troupe.resolve', error } as never, by: 'bob' }, CALL],
      { action: 'resolve', outcome: 'failed', error: null },
    ],
    [
      ['message.received', { event: { type: 'troupe.resolve', retry: true } as never, by: 'bob' }, CALL],
      { action: 'resolve', outcome: 'retry' },
    ],
    [
      [
        'message.refused',
        { type: 'approve', by: 'eve', error: { name: 'NotAllowedError', code: 'NOT_ALLOWED', message: 'eve may not' } },
      ],
      { action: 'refuse', by: 'eve', about: 'approve', error: 'NOT_ALLOWED', reason: 'eve may not' },
    ],
    [
      ['budget.exceeded', { resource: 'usd', spent: 3, limit: 2, onExhausted: 'pause' }],
      { action: 'budget', by: null, about: 'usd', outcome: 'pause', limits: { usd: 2 } },
    ],
  ])('%j', (happened, row) => {
    expect(after(happened)).toMatchObject([row]);
  });

  test('is not what a run says to itself, nor what time does', () => {
    const own: Happened[] = [
      ['message.received', { event: { type: 'TICK' } }],
      ['timer.fired', null],
    ];
    expect(after(...own, ['run.recovered', { owner: 'p' }], ['action.failed', { error }])).toEqual([]);
  });
});

describe('a call', () => {
  test('is a row when it has ended: what it cost, how long it took, who had begun its run', () => {
    expect(after(started(), succeeded())).toMatchObject([
      {
        action: 'call',
        by: 'ana',
        about: CALL,
        source: 'charge',
        effect: 'irreversible',
        attempt: 1,
        outcome: 'succeeded',
        cost: { tokens: 4, steps: 1, toolCalls: 1 },
        durationMs: 1_000,
        cause: 3,
      },
    ]);
    const failed: Happened = ['leaf.failed', { error, cost: {} }, CALL];
    expect(after(started(), failed)).toMatchObject([{ outcome: 'failed', error: 'AUTH', cost: { steps: 1 } }]);
    const left: Happened = ['leaf.abandoned', null, CALL];
    expect(after(started(), left)).toMatchObject([{ outcome: 'abandoned', cost: { tokens: 9, steps: 1 } }]);
  });

  test('that had ended before its begin was written is one row, too', () => {
    const begin = { effect: 'read', attempt: 1, input: null } as const;
    expect(after(succeeded({ begun: begin, cost: { tokens: 4 } }))).toMatchObject([
      { outcome: 'succeeded', effect: 'read', attempt: 1, cost: { tokens: 4, steps: 1 } },
    ]);
  });

  test('of a tool says which', () => {
    const input = { tool: 'mail.send', attempt: 1, input: { secret: 'hunter2' } };
    const reserved = { toolCalls: 1 };
    const first: Happened = ['leaf.started', { effect: 'read', attempt: 1, input, reserved }, 'body/b/attempt'];
    const next: Happened = ['leaf.started', { effect: 'read', attempt: 1, input }, 'body/b/attempt:2'];
    const failed: Happened = ['leaf.failed', { error }, 'body/b/attempt'];
    expect(after(first, failed, next, ['leaf.succeeded', { output: 1 }, 'body/b/attempt:2'])).toMatchObject([
      { source: 'mail.send' },
      { source: 'mail.send' },
    ]);
    const plain: Happened = ['leaf.started', { effect: 'read', attempt: 1, input }, 'body/a%2fb:2'];
    expect(after(plain, ['leaf.succeeded', { output: 1 }, 'body/a%2fb:2'])).toMatchObject([{ source: 'a/b' }]);
  });

  test('of a source that is called like an attempt of a tool is told by its name, not by its input', () => {
    const input = { tool: 'hunter2' };
    const one: Happened = ['leaf.started', { effect: 'read', attempt: 1, input }, 'body/attempt'];
    expect(after(one, ['leaf.succeeded', { output: 1 }, 'body/attempt'])).toMatchObject([{ source: 'attempt' }]);
    const child = { run: runId('c'), definition: 'child' };
    const run: Happened = [
      'leaf.started',
      { effect: 'read', attempt: 1, input, child, reserved: { toolCalls: 3 } },
      'body/attempt',
    ];
    expect(after(run, ['leaf.succeeded', { output: 1 }, 'body/attempt'])).toMatchObject([{ source: 'attempt' }]);
  });

  test('that begins again has not said how it ended before; its step is counted once', () => {
    const again = [started(), ['run.recovered', { owner: 'p' }], started(2), succeeded()] as const;
    expect(after(...again)).toMatchObject([
      { attempt: 1, outcome: 'unknown', cost: { steps: 1 }, durationMs: null },
      { attempt: 2, outcome: 'succeeded', cost: { tokens: 4, toolCalls: 1 } },
    ]);
  });

  test('in doubt is decided by somebody', () => {
    expect(after(started(), started(2, { by: 'bob' }), succeeded({ by: 'cy' }))).toMatchObject([
      { action: 'resolve', by: 'bob', attempt: 1, outcome: 'retry' },
      { action: 'resolve', by: 'cy', attempt: 2, outcome: 'succeeded' },
    ]);
  });

  test('of a run that it has begun ends as that run says: that is no decision', () => {
    const child = { run: runId('c'), definition: 'child' };
    expect(after(started(1, { child }), succeeded({ by: 'c' }))).toMatchObject([{ action: 'call', by: 'ana' }]);
  });

  test('that was refused at the gate has not begun; what comes too late is nothing', () => {
    const refused: Happened = ['leaf.failed', { error: { ...error, notPerformed: true } }, CALL];
    expect(after(refused)).toMatchObject([
      { action: 'call', outcome: 'refused', attempt: null, error: 'AUTH', cost: null },
    ]);
    expect(after(started(), ['leaf.abandoned', null, CALL], succeeded())).toHaveLength(1);
  });
});

describe('the end', () => {
  test('says what all of it cost', () => {
    expect(after(started(), succeeded(), ['run.completed', { output: 'hunter2' }]).at(-1)).toMatchObject({
      action: 'end',
      by: null,
      outcome: 'completed',
      cost: { tokens: 4, steps: 1, toolCalls: 1, wallClockMs: 1_000 },
      durationMs: 3_000,
    });
    expect(after(['run.failed', { error }])).toMatchObject([{ outcome: 'failed', error: 'AUTH', reason: null }]);
  });

  test('by a kill names who, and what was under way', () => {
    const killed = {
      reason: 'wrong list',
      by: 'bob',
      wallClockMs: 1_000,
      costs: { [CALL]: { tokens: 12, toolCalls: 1 } },
    };
    expect(after(started(), ['run.killed', killed])).toMatchObject([
      {
        action: 'call',
        about: CALL,
        outcome: 'unknown',
        cost: { tokens: 12, steps: 1, toolCalls: 1 },
        durationMs: null,
      },
      { action: 'kill', by: 'bob', reason: 'wrong list' },
      { action: 'end', outcome: 'killed', cost: { tokens: 12, steps: 1, toolCalls: 1, wallClockMs: 1_000 } },
    ]);
  });

  test('of a run that was killed before it was begun', () => {
    const rows = rowsOf(journal(['run.created', CREATED], ['run.killed', { reason: 'no', by: 'bob' }]));
    expect(rows.map(({ action }) => action)).toEqual(['kill', 'end']);
  });
});

test('a new beginning leaves what was under way', () => {
  const spent = { tokens: 9, usd: 0, steps: 1, toolCalls: 1, wallClockMs: 1_000 };
  const continued: Happened = ['run.continued', { ...CREATED, body: 2, inbox: 0, spent }];
  const rows = after(started(), continued, ['run.completed', { output: 1 }]);
  expect(rows).toMatchObject([
    { seq: 4, action: 'call', outcome: 'abandoned', cost: { tokens: 9, steps: 1, toolCalls: 1 } },
    { seq: 5, action: 'end', cost: { tokens: 9, steps: 1, toolCalls: 1, wallClockMs: 1_000 } },
  ]);
});

test('a fork tells only what is its own; what was copied is what the fork cost', () => {
  const origins = [{ run: runId('p'), at: 6 }];
  const open: Happened = ['leaf.started', { effect: 'read', attempt: 1, input: null }, 'body/open'];
  const rows = rowsOf(
    journal(
      ['run.created', { ...CREATED, by: 'bob', origins }],
      ['run.started', null],
      started(),
      succeeded(),
      ['checkpoint', { label: 'x', by: 'ana' }],
      open,
      ['run.forked', { owner: 'o', by: 'bob', origin: origins[0] as never, replaced: [4] }],
      ['leaf.started', { effect: 'read', attempt: 2, input: null }, 'body/open'],
      ['leaf.succeeded', { output: 1, cost: {} }, 'body/open'],
      ['run.completed', { output: 1 }],
    ),
  );
  expect(rows).toMatchObject([
    {
      action: 'fork',
      by: 'bob',
      about: 'p/6',
      cost: { tokens: 4, steps: 1, toolCalls: 1 },
      reason: expect.stringContaining('4'),
    },
    { action: 'call', by: 'bob', attempt: 2, cost: { steps: 1 } },
    { action: 'end', cost: { tokens: 4, steps: 2, toolCalls: 1 } },
  ]);
  mustAddUp(rows);
});

test('a call that had begun again before the cut costs the fork nothing until it begins there', () => {
  const origins = [{ run: runId('p'), at: 5 }];
  const asks = (attempt: number): Happened => ['leaf.started', { effect: 'read', attempt, input: null }, 'body/open'];
  const rows = rowsOf(
    journal(
      ['run.created', { ...CREATED, by: 'bob', origins }],
      ['run.started', null],
      asks(1),
      ['run.recovered', { owner: 'o' }],
      asks(2),
      ['run.forked', { owner: 'o', by: 'bob', origin: origins[0] as never, replaced: [] }],
      asks(3),
      ['leaf.succeeded', { output: 1, cost: {} }, 'body/open'],
      ['run.completed', { output: 1 }],
    ),
  );
  expect(rows).toMatchObject([
    { action: 'fork', cost: {} },
    { action: 'call', attempt: 3, cost: { steps: 1 } },
    { action: 'end', cost: { steps: 1 } },
  ]);
  mustAddUp(rows);
});

test('no input, output, event or message of an error is told', () => {
  const secret = { type: 'PAY', card: 'hunter2' };
  const rows = after(
    started(),
    succeeded(),
    started(),
    ['leaf.failed', { error }, CALL],
    ['message.received', { event: secret, by: 'bob' }, 'body'],
    ['message.received', { event: { type: 'troupe.resolve', output: 'hunter2' } as never, by: 'bob' }, CALL],
    ['run.failed', { error }],
  );
  expect(rows).toHaveLength(5);
  expect(JSON.stringify(rows)).not.toContain('hunter2');
});

/** U3. */
function mustAddUp(rows: readonly AuditRow[]): void {
  const end = rows.at(-1);
  expect(end?.action).toBe('end');
  const sum = amount();
  for (const { cost } of rows.slice(0, -1)) add(sum, amountOf(cost ?? {}));
  const { wallClockMs: _, ...spent } = end?.cost ?? {};
  expect(limitsOf(sum)).toEqual(spent);
}

/** U2, U3, and who asked is in it. */
function mustHold(entries: readonly Entry[]): void {
  const rows = rowsOf(entries);
  expect(rows).toEqual(rows.toSorted((a, b) => a.seq - b.seq));
  for (const { seq, type, event } of entries) {
    const own = rows.filter((row) => row.seq === seq);
    if (!isEnd(type) && type !== 'run.continued') expect(own.length).toBeLessThanOrEqual(1);
    const { by } = (event ?? {}) as { by?: string };
    if (by !== undefined && type !== 'run.created' && type !== 'run.continued')
      expect(own.map((row) => row.by)).toContain(by);
  }
  const ledger = new Ledger();
  for (const entry of entries) ledger.note(entry);
  expect(rows.at(-1)?.cost).toEqual(limitsOf(ledger.inAll));
  mustAddUp(rows);
}

const target = fc.constantFrom('body/a', 'body/b', 'body/c/attempt');
const cost = fc.option(
  fc.record({ tokens: fc.nat(50), usd: fc.nat(1_000).map((cents) => cents / 100), toolCalls: fc.nat(2) }),
  { nil: undefined },
);
const costing = (of: Limits | undefined): { cost?: Limits } => (of === undefined ? {} : { cost: of });
const happened: fc.Arbitrary<Happened> = fc.oneof(
  fc
    .tuple(target, fc.integer({ min: 1, max: 3 }), cost, fc.boolean())
    .map(([key, attempt, reserved, asked]): Happened => {
      const more = { ...(reserved && { reserved }), ...(asked && { by: 'dan' }) };
      return ['leaf.started', { effect: 'read', attempt, input: null, ...more }, key];
    }),
  fc.tuple(target, cost).map(([key, of]): Happened => ['leaf.succeeded', { output: 1, ...costing(of) }, key]),
  fc.tuple(target, cost).map(([key, of]): Happened => ['leaf.failed', { error, ...costing(of) }, key]),
  fc.tuple(target, cost).map(([key, of]): Happened => ['leaf.abandoned', of ? { cost: of } : null, key]),
  fc.constant<Happened>(['run.recovered', { owner: 'p' }]),
  fc.constant<Happened>(['run.paused', { reason: 'r', by: 'bob' }]),
  fc.constant<Happened>(['run.resumed', { by: 'bob', budget: null }]),
  fc.constant<Happened>(['message.received', { event: { type: 'GO' }, by: 'cy' }, 'body']),
  fc.constant<Happened>(['checkpoint', { label: 'l', by: 'eve' }]),
);
const end = fc.constantFrom<Happened>(
  ['run.completed', { output: 1 }],
  ['run.failed', { error }],
  ['run.killed', { reason: 'r', by: 'bob' }],
);

test('whatever happens: one row for each entry at most, in order, and the costs add up to what the ledger says', () => {
  fc.assert(fc.property(fc.array(happened, { maxLength: 40 }), end, (all, last) => mustHold(begun(...all, last))));
});

test.each(references.map((reference) => [reference.name, reference] as const))(
  'so it is for %s',
  async (_, reference) => {
    const process = await Process.start(reference);
    await process.drive();
    mustHold(process.journal.entries);
  },
);

test('a store folds it entry by entry', () => {
  const entries = begun(started(), succeeded(), ['run.completed', { output: 1 }]);
  const store = auditStore();
  for (const [index, entry] of entries.entries()) {
    store.trigger.entry({ entry });
    expect(store.getSnapshot().context.rows).toEqual(rowsOf(entries.slice(0, index + 1)));
  }
});
