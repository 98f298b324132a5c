import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { describe, test } from 'vitest';
import { unseal } from '../../src/chain.ts';
import { asFailure, toData } from '../../src/codec.ts';
import { beginOf, type Entry, type EntryOf } from '../../src/protocol/entry.ts';
import type { CutJournal } from '../support/journal.ts';
import { references } from '../support/machines/index.ts';
import { plainXState, Process, RUN, type Moment } from '../support/stage.ts';
import type { Reference } from '../support/world.ts';

/** The cut test: a run is cut after every single entry; what is left folds to what was, and goes on to the same end. */

async function live(reference: Reference): Promise<Process> {
  const process = await Process.start(reference);
  await process.drive();
  return process;
}

/** Says where it went wrong, beside node's own diff. */
async function at(where: string, check: () => void | Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    if (error instanceof Error) error.message = `${where}: ${error.message}`;
    throw error;
  }
}

const place = ({ seq, type, target }: Entry): string => `cut after ${seq} (${type} ${target})`;

/** What a fold must have in common with the live run at that entry. */
const visible = ({ status, actors, body }: Moment): unknown => ({ status, actors, body });

/** `leaf.started` may be begun live already; an entry in the journal is what counts. */
function mustEqual(folded: Process, was: Moment): void {
  const now = folded.moment(was.entry);
  assert.deepStrictEqual(visible(now), visible(was), 'a fold differs from what live had');
  assert.deepStrictEqual(folded.world.begun, [], 'a fold began a leaf');
  assert.deepStrictEqual(folded.world.acted, [], 'a fold ran an action');
  assert.deepStrictEqual(now.standing, [], 'a fold armed a timer');
  assert.equal(folded.clock.nextDue, undefined, 'a fold set a timeout');
  assert.deepStrictEqual(folded.reports, [], 'a fold reported something');
}

/** In a run that was never cut, whatever began has an outcome. */
function mustBeClosed({ journal }: Process): void {
  const keys = (of: (entry: Entry) => boolean): Set<string> =>
    new Set(journal.entries.filter(of).map(({ target }) => target));
  const begun = keys((entry) => beginOf(entry) !== undefined);
  const over = keys(isOutcome);
  assert.deepStrictEqual(
    Array.from(begun).filter((key) => !over.has(key)),
    [],
    'begun, and nothing is said of its end',
  );
}

const isOutcome = ({ type }: Entry): boolean =>
  type === 'leaf.succeeded' || type === 'leaf.failed' || type === 'leaf.abandoned';

/** J1, E1, T1 and the end, of a whole journal. */
async function mustBeSound(process: Process, end: Reference['end']): Promise<void> {
  const entries: Entry[] = [];
  for await (const { entry } of unseal(RUN, process.journal.read(RUN))) entries.push(entry);
  assert.deepStrictEqual(
    entries.map(({ seq }) => seq),
    entries.map((_, index) => index + 1),
    'not dense',
  );
  const attempts = new Map<string, number>();
  const outcomes = new Set<string>();
  let before: Entry | undefined;
  for (const entry of entries) {
    assert(entry.at >= (before?.at ?? 0), 'time went back');
    assert(
      entry.epoch - (before?.epoch ?? 1) === (entry.type === 'run.recovered' ? 1 : 0),
      'an epoch without a new owner',
    );
    before = entry;
    const begun = beginOf(entry);
    if (begun !== undefined) {
      assert(!outcomes.has(entry.target), `${entry.target} began after its outcome`);
      assert.equal(begun.attempt, (attempts.get(entry.target) ?? 0) + 1, `attempts of ${entry.target}`);
      attempts.set(entry.target, begun.attempt);
    }
    if (isOutcome(entry)) {
      assert(!outcomes.has(entry.target), `${entry.target} has two outcomes`);
      outcomes.add(entry.target);
    }
    const due = entry.type === 'timer.fired' ? process.deadlines.dues.get(entry.target) : undefined;
    if (due !== undefined) assert(entry.at >= due, `${entry.target} fired early`);
  }
  if (process.reference.continueAs !== undefined)
    assert(entries.filter(({ type }) => type === 'run.continued').length > 1, 'it has not begun anew');
  const fired = entries.filter(({ type }) => type === 'timer.fired').map(({ target }) => target);
  assert.equal(new Set(fired).size, fired.length, 'a timer fired twice');
  mustEndAs(entries.at(-1) as Entry, end);
  assert.deepStrictEqual(process.premature, [], 'an irreversible call began before its intent was on record');
  assert(process.clock.longest < 2 ** 31, 'a timeout longer than an operating-system timer');
}

function mustEndAs(last: Entry, end: Reference['end']): void {
  assert.equal(last.type, end.type, inspect(last.event));
  if (end.type === 'run.completed') assert.deepStrictEqual((last as EntryOf<'run.completed'>).event.output, end.output);
  else assert.partialDeepStrictEqual((last as EntryOf<'run.failed'>).event.error, end.error);
}

/** Leaves that a recovery must begin by itself, in order; irreversible ones only if no intent is on record. */
const mustBegin = (folded: Process): string[] => {
  const wanted = [...folded.run.system.nodes.leaves()].filter(
    ({ policy, attempts }) => policy.effect !== 'irreversible' || attempts === 0,
  );
  return wanted.map(({ source }) => source);
};

/** Folds, checks, takes over and drives on. */
async function recover(
  reference: Reference,
  journal: CutJournal,
  was: Moment,
  whole: Process,
  earlier?: Moment,
): Promise<Process> {
  const process = await Process.fold(reference, journal);
  mustEqual(process, was);
  const begins = mustBegin(process);
  const doubtful = [...process.run.system.nodes.leaves()].filter(
    ({ policy, attempts }) => policy.effect === 'irreversible' && attempts > 0,
  );
  const known = doubtful.map(({ key }) => key);
  await process.takeOver();
  assert.deepStrictEqual(process.world.acted, [], 'taking over ran an action');
  assert.deepStrictEqual(
    process.run.inDoubt().map(({ call }) => call),
    known,
    'in doubt',
  );
  mustHaveTimers(process, was);
  await process.quiet();
  assert.deepStrictEqual(
    process.world.begun.slice(0, begins.length),
    begins,
    'leaves without an outcome begin again, in order',
  );
  await process.drive();
  const { loses } = reference;
  const lost =
    loses !== undefined && [earlier, was].some((moment) => moment?.entry.type === loses.after) ? loses : undefined;
  await mustBeSound(process, (lost ?? reference).end);
  const { acted } = whole.world;
  if (reference.detour === undefined)
    assert.deepStrictEqual([...acted.slice(0, was.acted), ...process.world.acted], acted, 'each action ran once');
  return process;
}

/** Every deadline that stood stands again, unchanged and in the order of creation. */
function mustHaveTimers(process: Process, was: Moment): void {
  const fired = new Set(was.fired);
  const unfired = (timers: Iterable<readonly [string, number]>): unknown =>
    [...timers].filter(([key]) => !fired.has(key));
  // armed and, if overdue, fired already
  assert.deepStrictEqual(unfired(process.deadlines.dues), unfired(was.standing), 'deadlines');
}

/** Entry 1 travels with entry 2: a run that is only created is nobody's to recover. */
const canGoOn = ({ entry }: Moment): boolean => entry.type !== 'run.created';

async function mustFoldWhole(reference: Reference, process: Process): Promise<void> {
  for (const moment of process.moments)
    await at(`${place(moment.entry)}, recovered run`, async () => {
      if (moment.entry.type === 'run.recovered') return;
      mustEqual(await Process.fold(reference, process.journal.cut(moment.entry.seq)), moment);
    });
}

describe.each(references)('$name', (reference) => {
  test('runs to its end', async () => {
    const process = await live(reference);
    await mustBeSound(process, reference.end);
    mustBeClosed(process);
    assert.deepStrictEqual(process.reports, []);
    const moments = process.moments.map(({ entry }) => entry.seq);
    assert.deepStrictEqual(
      moments,
      process.journal.entries.slice(1).map(({ seq }) => seq),
      'a moment was missed',
    );
    if (reference.together !== undefined) {
      const groups = process.journal.groups.map((group) =>
        group.map(({ type }) => type).filter((type) => type !== 'leaf.started'),
      );
      assert(
        groups.some((group) => group.join() === reference.together?.join()),
        `no group of ${reference.together.join()}: ${groups.join(' | ')}`,
      );
    }
  });

  test('ends as in plain XState', async () => {
    if (reference.unlikeXState !== undefined) return;
    const { actor, world } = await plainXState(reference);
    const process = await live(reference);
    const raw = actor.getSnapshot() as {
      status: string;
      output?: unknown;
      error?: unknown;
      context?: unknown;
      value?: unknown;
    };
    const end = process.run.end as Entry;
    assert.equal(end.type, raw.status === 'done' ? 'run.completed' : 'run.failed');
    if (end.type === 'run.completed') assert.deepStrictEqual(end.event.output, toData(raw.output));
    if (end.type === 'run.failed') assert.deepStrictEqual(end.event.error, asFailure(raw.error));
    assert.deepStrictEqual(process.world.begun, world.begun, 'leaves');
    assert.deepStrictEqual(process.world.acted, world.acted, 'actions');
  });

  test('every prefix folds to what live had there, and every cut goes on to the same end', async () => {
    const whole = await live(reference);
    for (const was of whole.moments.slice(0, -1).filter(canGoOn))
      await at(place(was.entry), async () => {
        const process = await recover(reference, whole.journal.cut(was.entry.seq), was, whole);
        await mustFoldWhole(reference, process);
      });
    // a run that is over is not taken over
    await at('the whole', async () => {
      mustEqual(
        await Process.fold(reference, whole.journal.cut(whole.journal.stored.length)),
        whole.moments.at(-1) as Moment,
      );
    });
  });
});

/** (c) A recovery is cut as well. */
describe.each(references.filter(({ pairs }) => pairs === true))('$name, cut twice', (reference) => {
  test('every pair of cuts goes on to the same end', async () => {
    const whole = await live(reference);
    for (const first of whole.moments.slice(0, -1)) {
      const once = await recover(reference, whole.journal.cut(first.entry.seq), first, whole);
      for (const second of once.moments.slice(0, -1))
        await at(`${place(first.entry)}, then ${place(second.entry)}`, async () => {
          await recover(reference, once.journal.cut(second.entry.seq), second, once, first);
        });
    }
  });
});
