import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ledgerStore, type Account } from '../../src/account.ts';
import { Ledger, ownSpentIn, spentIn } from '../../src/ledger.ts';
import { overIfGranted, boundsIn } from '../../machines/policy/budget.ts';
import { amountOf, limitsOf } from '../../src/protocol/amount.ts';
import type { Budget, Entry, EntryEvents, EntryType, Limits } from '../../src/protocol/entry.ts';
import { DEFAULT_TENANT, runId } from '../../src/protocol/ids.ts';

const BEGUN: EntryEvents['run.created'] = {
  definition: 'd',
  version: '1',
  chart: 'c',
  input: null,
  owner: 'o',
  by: 'ana',
  tenant: DEFAULT_TENANT,
  budget: null,
  spec: null,
  parent: null,
  origins: [],
};

type Happened = { [T in EntryType]: readonly [type: T, event: EntryEvents[T], target?: string] }[EntryType];
/** Entries that follow each other by one second. */
const journal = (...happened: readonly Happened[]): Entry[] =>
  happened.map(
    ([type, event, target = 'run'], index) =>
      ({ v: 1, run: 'r', seq: index + 1, epoch: 1, at: index * 1_000, type, target, event, cause: null }) as Entry,
  );
const created = (budget: Budget | null = null): Happened => ['run.created', { ...BEGUN, budget }];
const started = (target: string, reserved?: Limits, attempt = 1): Happened => [
  'leaf.started',
  { effect: 'idempotent', attempt, input: null, ...(reserved && { reserved }) },
  target,
];
const child = (target: string): Happened => [
  'leaf.started',
  { effect: 'idempotent', attempt: 1, input: null, child: { run: runId(`of-${target}`), definition: 'd' } },
  target,
];
const succeeded = (target: string, cost?: Limits): Happened => [
  'leaf.succeeded',
  { output: null, ...(cost && { cost }) },
  target,
];

function accountOf(...happened: readonly Happened[]): Account {
  const store = ledgerStore();
  for (const entry of journal(...happened)) store.trigger.entry({ entry });
  return store.getSnapshot().context;
}

const NONE = { tokens: 0, usd: 0, steps: 0, toolCalls: 0, wallClockMs: 0 };

describe('a call', () => {
  test('takes a step, and holds back what it has reserved until it has ended', () => {
    const begun: Happened[] = [created({ tokens: 100 }), started('a', { tokens: 30, usd: 0.2 })];
    expect(accountOf(...begun)).toMatchObject({
      limits: { tokens: 100 },
      spent: { ...NONE, steps: 1 },
      reserved: { ...NONE, tokens: 30, usd: 0.2 },
    });
    expect(accountOf(...begun, succeeded('a', { tokens: 12 }))).toMatchObject({
      spent: { tokens: 12, usd: 0, steps: 1 },
      reserved: NONE,
    });
  });

  test('that ended before its begin was written is one entry', () => {
    const begun = { effect: 'read', attempt: 1, input: null, reserved: { toolCalls: 1 } } as const;
    const ended: Happened = ['leaf.succeeded', { output: 1, begun, cost: { toolCalls: 1 } }, 'a'];
    expect(accountOf(created(), ended)).toMatchObject({ spent: { steps: 1, toolCalls: 1 }, reserved: NONE });
  });

  test('that begins again after a crash reserves once and settles once', () => {
    const recovered: Happened = ['run.recovered', { owner: 'p' }];
    const again: Happened[] = [recovered, started('a', { tokens: 5 }, 2), recovered, started('a', undefined, 3)];
    const account = accountOf(created(), started('a', { tokens: 5 }), ...again);
    expect(account).toMatchObject({ spent: { steps: 1, tokens: 0 }, reserved: { tokens: 5 } });
    const ended = [succeeded('a', { tokens: 4 }), succeeded('a', { tokens: 4 })];
    expect(accountOf(created(), started('a', { tokens: 5 }), ...again, ...ended)).toMatchObject({
      spent: { steps: 1, tokens: 4 },
      reserved: NONE,
    });
  });

  test('that was abandoned costs what it had reserved, or what its end says', () => {
    const begun = [created(), started('a', { tokens: 5 }), started('b', { tokens: 5 })];
    expect(
      accountOf(...begun, ['leaf.abandoned', null, 'a'], ['leaf.abandoned', { cost: { tokens: 8 } }, 'b']),
    ).toMatchObject({ spent: { tokens: 13 }, reserved: NONE });
  });

  test('that was refused costs nothing', () => {
    const refused: Happened = ['leaf.failed', { error: { message: 'no', notPerformed: true } }, 'a'];
    expect(accountOf(created(), refused).spent).toEqual(NONE);
  });

  test('that is open when its run ends has cost what it had reserved', () => {
    const killed: Happened = ['run.killed', { reason: 'r', by: 'ana' }];
    expect(accountOf(created(), started('a', { usd: 0.1 }), started('b', { usd: 0.2 }), killed)).toMatchObject({
      spent: { usd: 0.3 },
      reserved: NONE,
    });
  });

  test('that was in doubt and is let begin again is another call', () => {
    const again: Happened = [
      'leaf.started',
      { effect: 'irreversible', attempt: 2, input: null, reserved: { tokens: 7 }, by: 'ana' },
      'a',
    ];
    const crashed: Happened[] = [created(), started('a', { tokens: 5 }), ['run.recovered', { owner: 'p' }]];
    expect(accountOf(...crashed, again)).toMatchObject({ spent: { tokens: 5, steps: 2 }, reserved: { tokens: 7 } });
    expect(accountOf(...crashed, again, succeeded('a', { tokens: 1 }))).toMatchObject({
      spent: { tokens: 6, steps: 2 },
      reserved: NONE,
    });
    const live = new Ledger();
    for (const entry of journal(...crashed)) live.note(entry);
    live.grant('a', amountOf({ tokens: 7 }));
    live.giveBack('a');
    expect([live.spent.tokens, live.spent.steps, live.reserved.tokens]).toEqual([0, 1, 5]);
    live.grant('a', amountOf({ tokens: 7 }));
    expect([live.spent.tokens, live.spent.steps, live.reserved.tokens]).toEqual([5, 2, 7]);
    for (const entry of journal(...crashed, again).slice(-1)) live.note(entry);
    live.giveBack('a');
    expect([live.spent.tokens, live.spent.steps, live.reserved.tokens]).toEqual([5, 2, 7]);
  });

  test('that is open when its run ends costs what the end says', () => {
    const costs = { a: { tokens: 9 } };
    const failed: Happened = ['run.failed', { error: { name: 'E', message: 'm' } as never, costs }];
    expect(accountOf(created(), started('a', { tokens: 5 }), started('b', { tokens: 2 }), failed)).toMatchObject({
      spent: { tokens: 11, steps: 2 },
      reserved: NONE,
    });
  });

  test('takes no time of its own for the run that it has begun', () => {
    const cost = { steps: 3, wallClockMs: 70_000 };
    expect(
      accountOf(created(), started('a', { steps: 9, wallClockMs: 99_000 }), succeeded('a', cost)).spent,
    ).toMatchObject({ steps: 4, wallClockMs: 1_000 });
  });
});

test('money is summed exactly', () => {
  const calls = ['a', 'b', 'c'].flatMap((key): Happened[] => [started(key), succeeded(key, { usd: 0.1 })]);
  expect(accountOf(created(), ...calls).spent.usd).toBe(0.3);
});

const spent = { tokens: 7, usd: 0.7, steps: 4, toolCalls: 2, wallClockMs: 50 };
const CONTINUED = { ...BEGUN, budget: { usd: 2 }, body: 2, inbox: 0, spent };

describe('time', () => {
  const ms = (...happened: readonly Happened[]): number => accountOf(created(), ...happened).spent.wallClockMs;
  const paused: Happened = ['run.paused', { reason: '', by: 'ana' }];
  const resumed: Happened = ['run.resumed', { by: 'ana', budget: null }];
  const recovered: Happened = ['run.recovered', { owner: 'p' }];
  const nothing: Happened = ['checkpoint', { label: 'x', by: 'ana' }];

  test.each<[string, number, Happened[]]>([
    ['while nothing is under way', 0, [nothing, nothing]],
    ['while a call is', 2_000, [started('a'), nothing, succeeded('a'), nothing]],
    ['while two are, once', 3_000, [started('a'), started('b'), succeeded('a'), succeeded('b'), nothing]],
    ['not while it is paused', 2_000, [started('a'), paused, nothing, nothing, resumed, succeeded('a')]],
    ['not while nobody owned it', 2_000, [started('a'), nothing, recovered, started('a', {}, 2), succeeded('a')]],
    ['not before somebody has begun it again', 1_000, [started('a'), nothing, recovered, nothing, nothing]],
    [
      'not while its budget has paused it',
      1_000,
      [
        started('a'),
        ['budget.exceeded', { resource: 'usd', spent: 1, limit: 1, onExhausted: 'pause' }],
        nothing,
        succeeded('a'),
      ],
    ],
    [
      'not in a run that has begun anew while it was paused, until it is resumed',
      50 + 1_000,
      [
        paused,
        ['run.continued', { ...CONTINUED, paused: { reason: '', by: 'ana' } }],
        started('a'),
        nothing,
        resumed,
        succeeded('a'),
      ],
    ],
    [
      'not up to a kill of what nobody owned',
      1_000,
      [started('a'), nothing, ['run.killed', { reason: '', by: 'ana' }]],
    ],
    [
      'up to a kill what that says',
      1_300,
      [started('a'), nothing, ['run.killed', { reason: '', by: 'ana', wallClockMs: 300 }]],
    ],
    [
      'of a run that it has begun what that has taken',
      700,
      [child('a'), nothing, succeeded('a', { wallClockMs: 700 })],
    ],
    [
      'of two such runs at once, once',
      700,
      [child('a'), child('b'), succeeded('b', { wallClockMs: 500 }), succeeded('a', { wallClockMs: 700 })],
    ],
    [
      'of two such runs after each other, each',
      1_200,
      [child('a'), succeeded('a', { wallClockMs: 700 }), child('b'), succeeded('b', { wallClockMs: 500 })],
    ],
  ])('counts %s: %i ms', (_, counted, happened) => {
    expect(ms(...happened)).toBe(counted);
  });
});

test('a new beginning goes on with what was spent before, and with the budget of then', () => {
  expect(accountOf(created({ usd: 1 }), started('a', { tokens: 9 }), ['run.continued', CONTINUED])).toMatchObject({
    limits: { usd: 2 },
    spent,
    reserved: NONE,
  });
});

test('a larger budget is in place of the one before; without one that stays', () => {
  const resumed = (budget: Budget | null): Happened => ['run.resumed', { by: 'ana', budget }];
  expect(accountOf(created({ usd: 1 }), resumed(null)).limits).toEqual({ usd: 1 });
  expect(accountOf(created({ usd: 1 }), resumed({ tokens: 5, onExhausted: 'pause' })).limits).toEqual({ tokens: 5 });
});

test('an account that was seen stays as it was', () => {
  const store = ledgerStore();
  const [first, second] = journal(created({ tokens: 9 }), started('a', { tokens: 5 }));
  if (first === undefined || second === undefined) throw new Error('no entries');
  store.trigger.entry({ entry: first });
  const before = store.getSnapshot().context;
  store.trigger.entry({ entry: second });
  expect([before.reserved.tokens, store.getSnapshot().context.reserved.tokens]).toEqual([0, 5]);
});

describe('in any order of asking, beginning, ending and crashing', () => {
  const limits: Budget = { tokens: 60, usd: 0.6, steps: 12, toolCalls: 4 };
  const move = fc.record({
    leaf: fc.integer({ min: 0, max: 15 }),
    do: fc.constantFrom('begin', 'succeed', 'fail', 'abandon', 'crash', 'refuse'),
    tokens: fc.nat(20),
    usd: fc.nat(20).map((n) => n / 100),
    toolCalls: fc.nat(1),
    used: fc.integer({ min: 0, max: 100 }),
  });

  /** As the gate does it: what it grants is on record later, and only what it grants. */
  test('what is spent and reserved stays within the limits at every entry, and a fold agrees', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
        const live = new Ledger();
        const entries: Entry[] = [];
        const open = new Map<string, Limits>();
        const over = new Set<string>();
        const record = ([type, event, target = 'run']: Happened): void => {
          const seq = entries.length + 1;
          const entry = { v: 1, run: 'r', seq, epoch: 1, at: seq, type, target, event, cause: null } as Entry;
          entries.push(entry);
          live.note(entry);
        };
        record(created(limits));
        const bounds = boundsIn(limits, false);
        for (const { leaf, do: what, tokens, usd, toolCalls, used } of moves) {
          const key = `l${leaf}`;
          const reserved = open.get(key);
          if (what === 'crash') {
            record(['run.recovered', { owner: 'p' }]);
            for (const again of open.keys()) record(started(again, undefined, 2));
          } else if (what === 'begin' && reserved === undefined && !over.has(key)) {
            const wants = amountOf({ tokens, usd, toolCalls });
            if (overIfGranted(bounds, live.spent, live.reserved, wants) !== undefined) continue;
            live.grant(key, wants);
            open.set(key, limitsOf(wants));
            record(started(key, limitsOf(wants)));
          } else if (what === 'refuse' && reserved === undefined && !over.has(key)) {
            over.add(key);
            record(['leaf.failed', { error: null }, key]);
          } else if (reserved !== undefined && what !== 'begin') {
            const cost: Limits = {
              tokens: Math.floor(((reserved.tokens ?? 0) * used) / 100),
              usd: ((reserved.usd ?? 0) * used) / 100,
              toolCalls: reserved.toolCalls ?? 0,
            };
            open.delete(key);
            over.add(key);
            if (what === 'succeed') record(succeeded(key, cost));
            else if (what === 'abandon') record(['leaf.abandoned', null, key]);
            else record(['leaf.failed', { error: null, cost }, key]);
          }
        }
        const fold = ledgerStore();
        for (const entry of entries) {
          fold.trigger.entry({ entry });
          const { spent, reserved } = fold.getSnapshot().context;
          for (const resource of ['tokens', 'usd', 'steps', 'toolCalls'] as const)
            expect(spent[resource] + reserved[resource]).toBeLessThanOrEqual((limits[resource] ?? 0) + 1e-12);
        }
        const { spent, reserved } = fold.getSnapshot().context;
        expect([amountOf(spent), amountOf(reserved)]).toEqual([live.spent, live.reserved]);
      }),
      { numRuns: 300 },
    );
  });
});

test('of a run that is read whole, what it has spent in all', async () => {
  async function* entries() {
    for (const entry of journal(created(), started('a', { tokens: 5 }), succeeded('a', { tokens: 3 }), started('b')))
      yield { entry };
  }
  expect(await spentIn(entries())).toEqual({ ...NONE, tokens: 3, steps: 2, wallClockMs: 1_000 });
});

test('of a fork, what it has spent itself; of runs that calls have begun, what stands for them', async () => {
  const forked: Happened = ['run.forked', { owner: 'o', by: 'ana', origin: { run: runId('r'), at: 3 }, replaced: [] }];
  async function* entries() {
    const own: Happened[] = [child('c'), succeeded('c', { tokens: 4, toolCalls: 1 })];
    for (const entry of journal(created(), started('a', { tokens: 5 }), succeeded('a', { tokens: 3 }), forked, ...own))
      yield { entry };
  }
  const { spent, children } = await ownSpentIn(entries());
  expect(spent).toMatchObject({ tokens: 4, steps: 1 });
  expect([...children]).toMatchObject([['of-c', { tokens: 4 }]]);
});
