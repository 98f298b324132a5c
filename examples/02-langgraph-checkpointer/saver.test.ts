import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Annotation, START, StateGraph } from '@langchain/langgraph';
import { emptyCheckpoint, uuid6, type CheckpointMetadata, type CheckpointTuple } from '@langchain/langgraph-checkpoint';
import {
  CorruptJournalError,
  embedded,
  ValidationError,
  type Backend,
  type BackendFactory,
  type Journal,
  type Stored,
} from 'troupe';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TroupeSaver } from './saver.ts';

/** What LangGraph's suite does not ask: other processes, restarts, damage, branches, names. */

let dir: string;
const open: TroupeSaver[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'troupe-langgraph-'));
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((saver) => saver.close()));
  await rm(dir, { recursive: true });
});

const saverOf = async (factory: BackendFactory = embedded({ dir })): Promise<TroupeSaver> => {
  const saver = await TroupeSaver.open(factory);
  open.push(saver);
  return saver;
};

/** A store whose journal is another's with something in between. */
const between = (change: (journal: Journal) => Partial<Journal>): BackendFactory => ({
  async open(ports): Promise<Backend> {
    const backend = await embedded({ dir }).open(ports);
    return { ...backend, journal: { ...backend.journal, ...change(backend.journal) } };
  },
});

const at = (thread_id: string, checkpoint_id?: string, checkpoint_ns = '') => ({
  configurable: { thread_id, checkpoint_ns, ...(checkpoint_id === undefined ? {} : { checkpoint_id }) },
});
const metadata: CheckpointMetadata = { source: 'loop', step: 0, parents: {} };
const put = (saver: TroupeSaver, thread: string, step = 0) =>
  saver.put(
    at(thread),
    { ...emptyCheckpoint(), id: uuid6(step), channel_values: { n: step }, channel_versions: { n: step + 1 } },
    { ...metadata, step },
    { n: step + 1 },
  );
const all = async (tuples: AsyncIterable<CheckpointTuple>): Promise<CheckpointTuple[]> => {
  const found: CheckpointTuple[] = [];
  for await (const tuple of tuples) found.push(tuple);
  return found;
};
const steps = async (saver: TroupeSaver, thread: string) =>
  (await all(saver.list(at(thread)))).map(({ metadata: { step } = metadata }) => step);

describe('several processes', () => {
  it('finds after a restart what it found before', async () => {
    const before = await saverOf();
    const config = await put(before, 'a');
    await before.putWrites(config, [['n', new Map([['deep', new Uint8Array([1])]])]], 'task');
    const found = await before.getTuple(at('a'));
    await before.close();
    expect(found?.pendingWrites).toHaveLength(1);
    const after = await saverOf();
    const asked = Array.from({ length: 5 }, () => after.getTuple(at('a')));
    for (const tuple of await Promise.all(asked)) expect(tuple).toEqual(found);
  });

  it('loses nothing when two write to one thread at once, and both see all of it', async () => {
    const savers = [await saverOf(), await saverOf()];
    const numbers = Array.from({ length: 40 }, (_, n) => n);
    await Promise.all(numbers.map((n) => put(savers[n % 2] as TroupeSaver, 'a', n)));
    for (const saver of savers) expect((await steps(saver, 'a')).toSorted((a, b) => a - b)).toEqual(numbers);
  });

  it('does not bring back for one what the other deleted', async () => {
    const [one, other] = [await saverOf(), await saverOf()];
    await put(one, 'a', 1);
    await put(one, 'b', 2);
    expect(await steps(other, 'a')).toEqual([1]);
    await one.deleteThread('a');
    expect(await steps(other, 'a')).toEqual([]);
    expect(await steps(other, 'b')).toEqual([2]);
    await put(other, 'a', 3);
    expect(await steps(one, 'a')).toEqual([3]);
    expect(await steps(await saverOf(), 'a')).toEqual([3]);
  });
});

describe('the journal', () => {
  it('is read once: what was read or written already is not read again', async () => {
    let entries = 0;
    const counting = between((journal) => ({
      async *read(...from) {
        for await (const stored of journal.read(...from)) {
          entries += 1;
          yield stored;
        }
      },
    }));
    const writer = await saverOf();
    for (let n = 0; n < 20; n += 1) await put(writer, 'a', n);
    const saver = await saverOf(counting);
    for (let n = 20; n < 40; n += 1) {
      await put(saver, 'a', n);
      expect(await steps(saver, 'a')).toHaveLength(n + 1);
    }
    expect(entries).toBe(20);
  });

  it('is not fought over by what one process writes at once', async () => {
    let appends = 0;
    const counting = between((journal) => ({
      append: (...asked) => {
        appends += 1;
        return journal.append(...asked);
      },
    }));
    const saver = await saverOf(counting);
    await Promise.all(Array.from({ length: 20 }, (_, n) => put(saver, 'a', n)));
    expect(await steps(saver, 'a')).toHaveLength(20);
    expect(appends).toBe(20);
  });

  it.each<[string, (stored: Stored) => Stored | undefined]>([
    [
      'altered',
      (stored) => ({ ...stored, bytes: stored.bytes.map((byte, index) => (index === 40 ? byte ^ 1 : byte)) }),
    ],
    ['missing', () => undefined],
  ])('is not believed when an entry of it is %s', async (_, damage) => {
    const writer = await saverOf();
    for (let n = 0; n < 3; n += 1) await put(writer, 'a', n);
    const damaged = between((journal) => ({
      async *read(...from) {
        for await (const stored of journal.read(...from)) {
          const read = stored.seq === 2 ? damage(stored) : stored;
          if (read !== undefined) yield read;
        }
      },
    }));
    await expect((await saverOf(damaged)).getTuple(at('a'))).rejects.toThrow(CorruptJournalError);
  });

  it('refuses to go on when it has become shorter', async () => {
    let lost = false;
    const short = between((journal) => ({
      append: async (...asked) => (lost ? { status: 'refused' } : journal.append(...asked)),
    }));
    const saver = await saverOf(short);
    await put(saver, 'a', 1);
    lost = true;
    await expect(put(saver, 'a', 2)).rejects.toThrow(CorruptJournalError);
  });
});

describe('writes', () => {
  it("come by task path, then task; a task's own are kept as they were first, its error is replaced", async () => {
    const saver = await saverOf();
    const config = await put(saver, 'a');
    await saver.putWrites(
      config,
      [
        ['n', 1],
        ['n', 2],
      ],
      'late',
      '~2',
    );
    await saver.putWrites(config, [['n', 3]], 'b', '~1');
    await saver.putWrites(config, [['n', 4]], 'a', '~1');
    await saver.putWrites(config, [['n', 5]], 'input');
    await saver.putWrites(config, [['n', 'again']], 'late', '~2');
    await saver.putWrites(config, [['__error__', 'first']], 'late', '~2');
    await saver.putWrites(config, [['__error__', 'second']], 'late', '~2');
    const order = [
      ['input', 'n', 5],
      ['a', 'n', 4],
      ['b', 'n', 3],
      ['late', '__error__', 'second'],
      ['late', 'n', 1],
      ['late', 'n', 2],
    ];
    expect((await saver.getTuple(config))?.pendingWrites).toEqual(order);
  });
});

describe('names', () => {
  it('keeps threads of any name apart', async () => {
    const saver = await saverOf();
    const names = [
      'a',
      'A',
      ' a',
      'a/b',
      '../a',
      '__proto__',
      'constructor',
      'ä',
      'a\0',
      '\ud800',
      '\udfff',
      'x'.repeat(5000),
    ];
    for (const [step, name] of names.entries()) await put(saver, name, step);
    for (const [step, name] of names.entries()) expect(await steps(saver, name)).toEqual([step]);
    const found = await all(saver.list({}));
    expect(new Set(found.map(({ config }) => config.configurable?.['thread_id']))).toEqual(new Set(names));
    expect(found).toHaveLength(names.length);
  });

  it.each([{ thread_id: '' }, { thread_id: 7 }, { thread_id: 'a', checkpoint_ns: 7 }])(
    'refuses %o',
    async (configurable) => {
      const saver = await saverOf();
      await expect(saver.put({ configurable }, emptyCheckpoint(), metadata, {})).rejects.toThrow(ValidationError);
    },
  );
});

describe('a graph', () => {
  const State = Annotation.Root({ seen: Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }) });
  const graphOn = (checkpointer: TroupeSaver) =>
    new StateGraph(State)
      .addNode('one', () => ({ seen: ['one'] }))
      .addEdge(START, 'one')
      .compile({ checkpointer });

  it('keeps the branches of a thread apart, and copies of them whole', async () => {
    const saver = await saverOf();
    const graph = graphOn(saver);
    await graph.invoke({ seen: ['start'] }, at('a'));
    const root = (await graph.getState(at('a'))).config;
    const left = await graph.updateState(root, { seen: ['left'] });
    const right = await graph.updateState(root, { seen: ['right'] });
    const copy = await graph.updateState(left, null, '__copy__');
    const seen = async (config: typeof root) => (await graphOn(await saverOf()).getState(config)).values as unknown;
    expect(await seen(left)).toEqual({ seen: ['start', 'one', 'left'] });
    expect(await seen(right)).toEqual({ seen: ['start', 'one', 'right'] });
    expect(await seen(copy)).toEqual({ seen: ['start', 'one', 'left'] });
    expect(await seen(root)).toEqual({ seen: ['start', 'one'] });
  });

  it('goes on in another process after kill -9 of the first', async () => {
    const main = fileURLToPath(new URL('main.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=troupe-source', main]);
    expect(stdout).toContain('process 1 ended by SIGKILL');
    expect(stdout.match(/writes about journals/g)).toHaveLength(1);
    expect(stdout).toContain("process 2: published 'All about journals.'");
  });
});
