import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Entry, EntryEvents, EntryType } from '../../src/protocol/entry.ts';
import { DEFAULT_TENANT } from '../../src/protocol/ids.ts';
import { NO_SUMMARY, summarise, summarised, summaryStore, type Summary } from '../../src/summary.ts';

const CREATED: EntryEvents['run.created'] = {
  definition: 'checkout',
  version: '2',
  chart: 'c',
  input: { sku: 'A1' },
  owner: 'o',
  by: 'ana',
  tenant: DEFAULT_TENANT,
  budget: null,
  parent: null,
  origins: [],
  spec: null,
};

/** A journal of what happened, one second apart. */
type Happened = { [T in EntryType]: readonly [type: T, event: EntryEvents[T]] }[EntryType];
const journal = (...happened: readonly Happened[]): Entry[] =>
  happened.map(
    ([type, event], index) =>
      ({
        v: 1,
        run: 'order-42',
        seq: index + 1,
        epoch: 1,
        at: 10_000 + index * 1_000,
        type,
        target: 't',
        event,
        cause: null,
      }) as Entry,
  );
const begun = (attempt: number): ['leaf.started', EntryEvents['leaf.started']] => [
  'leaf.started',
  { effect: 'read', attempt, input: null },
];
const error = { name: 'E', message: 'no route' };

test('of nothing, nothing', async () => {
  expect(await summarise([])).toMatchObject({ run: '', status: 'created', entries: 0, steps: 0, endedAt: undefined });
});

test('a run that was created and not started', async () => {
  expect(await summarise(journal(['run.created', CREATED]))).toMatchObject({
    run: 'order-42',
    definition: 'checkout',
    status: 'created',
    entries: 1,
    createdAt: 10_000,
    startedAt: undefined,
    durationMs: undefined,
  });
});

describe('a run that has ended', () => {
  const ended = (...end: readonly Happened[]): Promise<Summary> =>
    summarise(journal(['run.created', CREATED], ['run.started', null], ...end));

  test('with an output', async () => {
    expect(await ended(['timer.fired', null], ['run.completed', { output: { paid: true } }])).toEqual({
      run: 'order-42',
      definition: 'checkout',
      status: 'completed',
      tenant: 'default',
      parent: null,
      partial: false,
      steps: 0,
      failures: 0,
      entries: 4,
      createdAt: 10_000,
      startedAt: 11_000,
      endedAt: 13_000,
      durationMs: 2_000,
      reason: undefined,
      error: undefined,
      output: { paid: true },
      byType: {
        ...NO_SUMMARY.byType,
        'run.created': { count: 1, totalMs: 0 },
        'run.started': { count: 1, totalMs: 0 },
        'timer.fired': { count: 1, totalMs: 0 },
        'run.completed': { count: 1, totalMs: 2_000 },
      },
    });
  });

  test('with an error', async () => {
    expect(await ended(['run.failed', { error }])).toMatchObject({
      status: 'failed',
      reason: 'no route',
      error,
      output: undefined,
      durationMs: 1_000,
    });
  });

  test('by a kill', async () => {
    expect(await ended(['run.killed', { reason: 'wrong customer', by: 'ana' }])).toMatchObject({
      status: 'killed',
      reason: 'wrong customer',
      error: undefined,
      endedAt: 12_000,
    });
  });

  test('before it was started took no time', async () => {
    const killed = await summarise(journal(['run.created', CREATED], ['run.killed', { reason: 'no', by: 'ana' }]));
    expect(killed).toMatchObject({ status: 'killed', endedAt: 11_000, durationMs: 0 });
  });
});

test('a new beginning is as it says, paused or not, whatever the run was before', async () => {
  const exceeded: Happened = ['budget.exceeded', { resource: 'usd', spent: 1, limit: 1, onExhausted: 'handBack' }];
  const paused = { reason: 'lunch', by: 'ana' };
  const spent = { tokens: 0, usd: 0, steps: 0, toolCalls: 0, wallClockMs: 0 };
  const after = async (...happened: readonly Happened[]): Promise<string> =>
    (await summarise(journal(['run.created', CREATED], ['run.started', null], ...happened))).status;
  const continued = { ...CREATED, body: 2, inbox: 0, spent };
  expect(await after(exceeded, ['run.continued', continued])).toBe('running');
  expect(await after(['run.continued', { ...continued, paused }])).toBe('paused');
});

describe('counting', () => {
  test('a call begun again counts once; failures count each time', async () => {
    const summary = await summarise(
      journal(
        ['run.created', CREATED],
        ['run.started', null],
        begun(1),
        ['run.recovered', { owner: 'p' }],
        begun(2),
        ['leaf.failed', { error }],
        begun(1),
        ['leaf.failed', { error }],
        begun(1),
        ['leaf.succeeded', { output: 1 }],
      ),
    );
    expect(summary).toMatchObject({ status: 'running', steps: 3, failures: 2, entries: 10 });
  });

  test('a call that ended before its begin was written counts, too', async () => {
    const event = { output: 1, begun: begun(1)[1] };
    const summary = await summarise(journal(['run.created', CREATED], ['leaf.succeeded', event]));
    expect(summary).toMatchObject({ steps: 1, entries: 2 });
  });

  test('every entry counts, whatever it is', async () => {
    const some = fc.constantFrom<Happened>(
      begun(1),
      ['leaf.emitted', { event: 1 }],
      ['leaf.abandoned', null],
      ['timer.fired', null],
      ['message.received', { event: { type: 'GO' } }],
      ['action.failed', { error: 'x' }],
      ['budget.exceeded', { resource: 'steps', spent: 1, limit: 1, onExhausted: 'fail' }],
    );
    await fc.assert(
      fc.asyncProperty(fc.array(some), async (happened) => {
        const summary = await summarise(journal(['run.created', CREATED], ['run.started', null], ...happened));
        expect(summary.entries).toBe(happened.length + 2);
        expect(summary.steps).toBe(happened.filter(([type]) => type === 'leaf.started').length);
        expect(summary.status).toBe('running');
      }),
    );
  });
});

test('two summaries share nothing, and a stream is summarised like a list', async () => {
  const entries = journal(['run.created', CREATED], ['run.started', null]);
  const stream = async function* (): AsyncGenerator<Entry> {
    yield* entries;
  };
  expect(await summarise(stream())).toEqual(await summarise(entries));
  const [one, other] = [summaryStore(), summaryStore()];
  one.trigger.entry({ entry: entries[0] as Entry });
  expect([one.getSnapshot().context.entries, other.getSnapshot().context.entries]).toEqual([1, 0]);
});

describe('totals by type', () => {
  const entries = journal(
    ['run.created', CREATED],
    ['run.started', null],
    begun(1),
    ['leaf.failed', { error }],
    ['message.received', { event: { type: 'GO' } }],
    begun(1),
    ['leaf.succeeded', { output: 1 }],
  );

  test('count what happened and add up how long it took', () => {
    const store = summaryStore();
    for (const entry of entries) store.trigger.entry({ entry });
    const { byType } = store.getSnapshot().context;
    expect(byType['leaf.started']).toEqual({ count: 2, totalMs: 0 });
    expect(byType['leaf.failed']).toEqual({ count: 1, totalMs: 1_000 });
    expect(byType['leaf.succeeded']).toEqual({ count: 1, totalMs: 1_000 });
    expect(byType['run.killed']).toEqual({ count: 0, totalMs: 0 });
  });

  test('a summary stays as it is when the run goes on', () => {
    let summary = NO_SUMMARY;
    const summaries = entries.map((entry) => (summary = summarised(summary, entry)));
    expect(summaries.map(({ entries: count }) => count)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(summaries.map(({ byType }) => byType['leaf.started'].count)).toEqual([0, 0, 1, 1, 1, 2, 2]);
    expect(NO_SUMMARY).toMatchObject({ entries: 0, byType: { 'run.created': { count: 0 } } });
    // Only data: it is printed, copied and kept.
    expect(JSON.parse(JSON.stringify(summary))).toEqual(JSON.parse(JSON.stringify({ ...summary })));
    expect(Object.keys(summary).sort()).toEqual(Object.keys(NO_SUMMARY).sort());
  });
});
