import { describe, expect, it } from 'vitest';
import { exitOfSummary, gravest } from '../../../src/cli/exit.ts';
import { toJson } from '../../../src/cli/json.ts';
import { doubtLines, duration, label, table } from '../../../src/cli/render.ts';
import { harmless, Terminal } from '../../../src/cli/terminal.ts';
import { Tree } from '../../../src/cli/tree.ts';
import type { Entry } from '../../../src/protocol/entry.ts';
import type { RunId } from '../../../src/protocol/ids.ts';
import { NO_SUMMARY } from '../../../src/summary.ts';

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
    ['body/b/attempt:2', 'b (attempt 2)'],
    ['body/attempt', 'tool'],
    ['body', 'tool'],
    ['body/a%2fb%25', 'a/b%'],
  ])('the call %s is called %s', (key, text) => expect(label(key, 'tool')).toBe(text));

  it('steers no terminal', () => expect(harmless('a\x1b[31mb\x1b[0m\x07\nc')).toBe('ab\nc'));

  it('JSON of what JSON has no word for', () =>
    expect(toJson({ n: 2n, b: Buffer.from('hi'), d: new Date(0), u: undefined })).toBe(
      '{"n":"2","b":"aGk=","d":"1970-01-01T00:00:00.000Z"}',
    ));

  it('quotes a call that a shell would not take', () =>
    expect(doubtLines('r', [{ call: "body/it's", input: 1 }], terminal)[3]).toContain(
      `troupe resolve r 'body/it'\\''s' --output`,
    ));
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
    expect(tree.lines(undefined, terminal)).toEqual(['mail  r', '✓ a  done', '✗ b  2/3  failed', '– c  skipped']);
  });
});
