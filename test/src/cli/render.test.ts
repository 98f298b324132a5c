import { describe, expect, it } from 'vitest';
import { createActor } from 'xstate';
import { eachMachine } from '../../../machines/each.ts';
import { planMachine } from '../../../machines/plan.ts';
import { exitOfSummary, gravest } from '../../../src/cli/exit.ts';
import { toJson } from '../../../src/cli/json.ts';
import {
  causeLines,
  doubtLines,
  duration,
  eventLine,
  eventRow,
  label,
  table,
  totalsLine,
} from '../../../src/cli/render.ts';
import { harmless, Terminal } from '../../../src/cli/terminal.ts';
import { Tree } from '../../../src/cli/tree.ts';
import { plan } from '../../../src/define/plan.ts';
import { childId } from '../../../actors/child.ts';
import type { Entry } from '../../../src/protocol/entry.ts';
import type { RunId } from '../../../src/protocol/ids.ts';
import { NO_SUMMARY } from '../../../src/summary.ts';
import type { TraceEvent } from '../../../src/trace.ts';

const terminal = new Terminal({ color: false });

describe('text', () => {
  it.each([
    [-5, '0ms'],
    [999, '999ms'],
    [59_999, '59.9s'],
    [125_000, '2m 5s'],
    [3_600_000, '1h 0m'],
    [273_600_000, '3d 4h'],
  ])('a duration of %d is %s', (ms, text) => expect(duration(ms)).toBe(text));

  it('columns are as wide as their widest cell', () => {
    expect(
      table([
        ['a', 'bb', ''],
        ['ccc', 'd', 'e'],
      ]),
    ).toEqual(['a    bb', 'ccc  d   e']);
  });

  it.each([
    ['body/b/attempt', 'b'],
    ['body/b/mail.send:3/attempt', 'b/mail.send:3'],
    ['body/b/attempt:2', 'b #2'],
    ['body/attempt', 'tool'],
    ['body', 'tool'],
    ['body/a%2fb%25', 'a/b%'],
  ])('the call %s is called %s', (key, text) => expect(label(key, 'tool')).toBe(text));

  it('steers no terminal, nor the order of what is read', () =>
    expect(harmless('a\x1b[31mb\x1b[0m\x07\nc\u202ed\u2066')).toBe('ab\ncd'));

  it('JSON of what JSON has no word for', () =>
    expect(toJson({ n: 2n, b: Buffer.from('hi'), d: new Date(0), u: undefined })).toBe(
      '{"n":"2","b":"aGk=","d":"1970-01-01T00:00:00.000Z"}',
    ));

  it('quotes a call that a shell would not take', () =>
    expect(doubtLines('r', [{ run: 'x' as RunId, call: "body/it's", input: 1 }], terminal)[3]).toContain(
      `troupe resolve x 'body/it'\\''s' --output`,
    ));
});

describe('events', () => {
  const event = (seq: number, cause: TraceEvent['cause'], more: Partial<TraceEvent> = {}): TraceEvent => ({
    seq,
    at: 1_795_000_000_123,
    type: 'timer.fired',
    target: 'body@soon',
    data: null,
    cause,
    durationMs: 2_500,
    ...more,
  });

  it('stand on one line and steer no terminal, whatever is in them', () => {
    const hostile = 'a\x1b[2J\n\x9b31m\tb';
    const odd = event(1, hostile, { target: hostile, data: { output: hostile } });
    for (const text of [eventLine(odd), ...eventRow(odd), ...causeLines([odd])]) expect(text).not.toMatch(/\p{Cc}/u);
    expect(eventLine(odd)).toContain('  a b  ');
  });

  it('say who asked, however much there is to say', () => {
    const long = event(3, null, { data: { reason: 'x'.repeat(200), by: 'ana' } });
    for (const text of [eventLine(long), eventRow(long).join('  ')]) expect(text).toContain('{"by":"ana","reason":"xx');
  });

  it('say what they took', () => {
    expect(eventLine(event(7, 1))).toBe('    7  2026-11-18T11:06:40.123Z  timer.fired       body@soon  -  (2.5s)');
    expect(eventLine(event(7, 1, { durationMs: undefined }))).toMatch(/ {2}body@soon {2}-$/);
  });

  it('are told from the first cause on, which is a message, or nothing known', () => {
    const lines = causeLines([event(1, null), event(2, 1), event(5, 2)]);
    expect(lines.map((line) => /^( *└ )?\d/.exec(line)?.[0])).toEqual(['1', '  └ 2', '    └ 5']);
    expect(causeLines([event(4, 'inbox/17')])[0]).toBe('a message from outside: inbox/17');
    expect(causeLines([event(4, null)])[0]).toBe('somebody outside, or nobody knows');
    expect(causeLines([event(4, null, { data: { by: 'ana' } })])[0]).toBe('ana');
    expect(causeLines([event(4, 'inbox/17', { data: { by: 'ana' } })])[0]).toBe(
      'a message from outside: inbox/17, by ana',
    );
    const deep = causeLines(Array.from({ length: 500 }, (_, index) => event(index + 1, index)));
    expect(Math.max(...deep.map((line) => line.search(/\S/)))).toBe(32);
  });

  it('are added up by type', () => {
    const byType = {
      ...NO_SUMMARY.byType,
      'leaf.started': { count: 2, totalMs: 0 },
      'leaf.failed': { count: 2, totalMs: 1_250 },
    };
    expect(totalsLine({ ...NO_SUMMARY, byType })).toBe('leaf.started 2, leaf.failed 2 (1.2s)');
  });
});

describe('exit codes', () => {
  it('of a run', () => {
    expect(exitOfSummary({ ...NO_SUMMARY, status: 'running' })).toBe(5);
    expect(exitOfSummary({ ...NO_SUMMARY, status: 'killed' })).toBe(3);
  });
  it('of several: the gravest', () => {
    expect(gravest([])).toBe(0);
    expect(gravest([0, 5, 3])).toBe(3);
    expect(gravest([0, 5, 1])).toBe(1);
  });
});

describe('the tree', () => {
  const entry = (type: Entry['type'], target: string, event: unknown): Entry =>
    ({ v: 1, run: 'r' as RunId, seq: 1, epoch: 1, at: 0, type, target, event, cause: null }) as Entry;
  const started = (target: string): Entry => entry('leaf.started', target, { effect: 'read', attempt: 1, input: null });

  it('knows what waits, what runs and what is done', () => {
    const tree = new Tree(['a', 'b', 'c']);
    tree.entry(entry('run.created', 'run', { definition: 'mail', spec: null }));
    tree.entry(started('body/a/attempt'));
    tree.entry(entry('leaf.succeeded', 'body/a/attempt', { output: 1 }));
    tree.entry(started('body/b/send/attempt'));
    tree.entry(started('body/b/send:2/attempt'));
    tree.entry(entry('leaf.succeeded', 'body/b/send/attempt', { output: 1 }));
    const each = { status: 'active', context: { items: [1, 2, 3] }, children: {} };
    const snapshot = { children: { b: { getSnapshot: () => each } } };
    expect(tree.lines(snapshot, terminal)).toEqual(['mail  r', '✓ a  done', '● b  1/3  running', '○ c  waiting']);
    const doubtful = { status: 'active', tags: new Set(['inDoubt']) };
    Object.assign(each, { children: { one: { getSnapshot: () => doubtful } } });
    expect(tree.lines(snapshot, terminal)[2]).toBe('? b  1/3  in doubt');
    tree.entry(entry('leaf.failed', 'body/b/send:2/attempt', { error: 1 }));
    tree.entry(entry('run.failed', 'run', { error: 1 }));
    expect(tree.lines(undefined, terminal)).toEqual([
      'mail  r',
      '✓ a  done',
      '✗ b  2/3  failed',
      '– c  skipped: the run had ended',
    ]);
  });

  it('tells a step that was skipped from one that had nothing to do', () => {
    const { spec } = plan({ name: 'mail' })
      .step('a', () => 1, { when: () => false })
      .step('b', () => 2, { each: () => [] });
    const b = eachMachine({ id: 'b', call: 'b', concurrency: 1, onFailure: 'fail' });
    const machine = createActor(planMachine(spec).provide({ actors: { b } })).start();
    const tree = new Tree(['a', 'b']);
    tree.entry(entry('run.created', 'run', { definition: 'mail', spec: null }));
    tree.entry(entry('run.completed', 'run', { output: {} }));
    expect(tree.lines(machine.getSnapshot(), terminal)).toEqual([
      'mail  r',
      '– a  skipped: its condition does not hold',
      '✓ b  done',
    ]);
  });

  it('shows a pause, what waits for approval and how it is given, the runs it has begun, and what is spent', () => {
    const tree = new Tree(['a', 'b']);
    const budget = { steps: 4, usd: 1 };
    tree.entry(entry('run.created', 'run', { definition: 'mail', spec: null, budget }));
    const below = childId('r' as RunId, 'body/b');
    // The first as in a fork: the other run had begun it.
    for (const [index, run] of ['others', below].entries())
      tree.entry(
        entry('leaf.started', 'body/b', {
          effect: 'idempotent',
          attempt: index + 1,
          input: null,
          child: { run, definition: 'order' },
        }),
      );
    tree.entry(entry('run.paused', 'run', { reason: 'look first', by: 'ana' }));
    const asking = { status: 'active', tags: new Set(['awaitingApproval']), context: { approval: { call: 'body/a' } } };
    expect(tree.lines({ children: { a: { getSnapshot: () => asking } } }, terminal)).toEqual([
      'mail  r',
      '! a  awaiting approval: troupe approve r body/a',
      '● b  running',
      `  └ run ${below} (order)`,
      'paused: look first; to go on: troupe resume r',
      'spent: usd 0 of 1, steps 1 of 4',
    ]);
    tree.entry(entry('run.resumed', 'run', { by: 'ana', budget: null }));
    tree.entry(entry('run.killed', 'run', { reason: 'enough', by: 'ana' }));
    expect(tree.lines(undefined, terminal)).toEqual([
      'mail  r',
      '■ a  stopped',
      '■ b  stopped',
      `  └ run ${below} (order)`,
      'spent: usd 0 of 1, steps 1 of 4',
    ]);
    const one = new Tree([]);
    one.entry(entry('run.created', 'run', { definition: 'send', spec: null }));
    const own = { ...asking, context: { approval: { call: 'body' } } };
    expect(one.lines(own, terminal)).toEqual(['send  r', 'awaiting approval: troupe approve r body']);
  });
});
