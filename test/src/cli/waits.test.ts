import { describe, expect, it } from 'vitest';
import { childId } from '../../../actors/child.ts';
import { Facts } from '../../../src/cli/facts.ts';
import { family, indented } from '../../../src/cli/family.ts';
import { waitsOf, waitsText, whatToDo, type Wait } from '../../../src/cli/waits.ts';
import type { Entry } from '../../../src/protocol/entry.ts';
import type { RunId } from '../../../src/protocol/ids.ts';
import type { Pending } from '../../../src/handle.ts';

const entry = (type: Entry['type'], target: string, event: unknown): Entry =>
  ({ v: 1, run: 'r' as RunId, seq: 1, epoch: 1, at: 0, type, target, event, cause: null }) as Entry;
const begun = (target: string, more: object = {}): Entry =>
  entry('leaf.started', target, { effect: 'read', attempt: 1, input: null, ...more });

function text(entries: readonly Entry[], pending: Partial<Pending> | undefined, owned = true): string {
  const facts = new Facts();
  for (const one of entries) facts.note(one);
  const all = pending && { inDoubt: [], approvals: [], due: null, seen: 0, ...pending };
  return waitsText(waitsOf(facts, owned, all), 'mail', 1_000);
}
const approval = { run: 'r', call: 'body/b', tool: 'mail.send', input: null, hash: 'h', approvers: ['ana', 'bo'] };

describe('what a run waits for', () => {
  it('is what stands in its way first', () => {
    expect(text([], {})).toBe('a message');
    expect(text([], { due: 61_000 })).toBe('a timer, in 1m 0s');
    expect(text([begun('body/a/attempt')], { due: 61_000 })).toBe('call a');
    const child = childId('r' as RunId, 'body/a');
    expect(text([begun('body/a', { child: { run: child, definition: 'order' } })], {})).toBe(`run ${child} (order)`);
    // One that another run has begun, which this one was forked from.
    expect(text([begun('body/a', { child: { run: 'c', definition: 'order' } })], {})).toBe('call a');
    expect(text([], { approvals: [approval], due: 61_000 })).toBe('approval of body/b (mail.send) by ana or bo');
    expect(text([begun('body/a/attempt')], { inDoubt: [{ run: 'x' as RunId, call: 'body/a', input: null }] })).toBe(
      'a decision about body/a in doubt',
    );
    const paused = [begun('body/a/attempt'), entry('run.paused', 'run', { reason: 'look', by: 'ana' })];
    expect(text(paused, {})).toBe('somebody to resume it: look and 1 more');
    const exceeded = entry('budget.exceeded', 'run', { resource: 'steps', spent: 2, limit: 2, onExhausted: 'pause' });
    expect(text([exceeded], {})).toBe('a larger budget: steps 2 of 2 spent');
    const again = entry('run.continued', 'run', { spent: {}, paused: exceeded.event });
    expect(text([exceeded, again], {})).toBe('a larger budget: steps 2 of 2 spent');
    expect(text([...paused, entry('run.resumed', 'run', { by: 'ana', budget: null })], {})).toBe('call a');
  });

  it('is a process where nobody owns it, unless somebody must decide', () => {
    expect(text([begun('body/a/attempt')], {}, false)).toBe('a process to go on with it');
    expect(text([], { approvals: [approval] }, false)).toMatch(/^approval of/);
  });

  it('cannot all be told where its definition is not known', () => {
    expect(text([], undefined)).toBe('-');
    expect(text([begun('body/a/attempt')], undefined)).toBe('call a');
  });

  it('is moved by a command, where somebody has to decide', () => {
    const approve: Wait = { for: 'approval', run: 'c', call: "it's", tool: 't', approvers: null };
    expect(whatToDo('r', [approve, { for: 'process' }])).toBe("troupe approve c 'it'\\''s'");
    expect(whatToDo('r', [{ for: 'decision', call: 'body/a' }])).toBe('troupe resolve r body/a');
    expect(whatToDo('r', [{ for: 'resume', reason: 'x', by: 'ana' }])).toBe('troupe resume r');
    const spent: Wait = { for: 'resume', reason: 'x', by: null, exhausted: 'wallClockMs' };
    expect(whatToDo('r', [spent])).toBe('troupe resume r --budget wallClock=<more>');
    for (const waits of [null, [], [{ for: 'process' } as const]]) expect(whatToDo('r', waits)).toBeUndefined();
  });

  it('is nothing that has ended', () => {
    const ended = [begun('body/a/attempt'), entry('leaf.succeeded', 'body/a/attempt', { output: 1 })];
    expect(text(ended, {})).toBe('a message');
    const resolved = entry('message.received', 'body/a', { event: { type: 'troupe.resolve' } });
    expect(text([begun('body/a/attempt'), resolved], {})).toBe('a message');
  });
});

it('runs stand under those that have begun them', () => {
  const run = (name: string, parent?: string): { run: string; parent: { run: string } | null } => ({
    run: name,
    parent: parent === undefined ? null : { run: parent },
  });
  const listed = family([run('a'), run('c', 'b'), run('x', 'gone'), run('b', 'a'), run('d', 'a')]);
  expect(listed.map(({ info, depth }) => indented(info.run, depth))).toEqual(['a', '└ b', '  └ c', '└ d', 'x']);
});
