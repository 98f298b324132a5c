import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { fromCallback, fromPromise, setup } from 'xstate';
import { StorageFullError } from '../../src/protocol/errors.ts';
import { plainXState, Process } from '../support/stage.ts';
import { say, type Reference } from '../support/world.ts';

/** What an earlier core did wrong: actions that throw, stores that are full, sources that cannot be kept. */

const end: Reference['end'] = { type: 'run.failed', error: {} };

const breaking: Reference = {
  name: 'an action that throws on the way into a state with calls',
  effects: { charge: 'irreversible' },
  create: (world) =>
    setup({
      types: { events: {} as { type: 'GO' } },
      actors: {
        look: fromPromise(({ signal }) => world.call('look', null, signal)),
        charge: fromPromise(({ signal }) => world.call('charge', null, signal)),
      },
      actions: {
        check: () => {
          world.act('check');
          throw new Error('not allowed');
        },
        mail: () => world.act('mail'),
      },
    }).createMachine({
      initial: 'asking',
      states: {
        asking: { on: { GO: { target: 'charging', actions: ['check', 'mail'] } } },
        charging: { entry: 'mail', invoke: [{ src: 'look' }, { src: 'charge' }] },
      },
    }),
  rules: [say('asking', { type: 'GO' })],
  end,
};

const leaving: Reference = {
  name: 'a message that leaves the state of an irreversible call, in the group of its intent',
  effects: { charge: 'irreversible' },
  create: (world) =>
    setup({
      types: { events: {} as { type: 'STOP' } },
      actors: {
        look: fromPromise(() => world.call('look')),
        charge: fromPromise(({ signal }) => world.call('charge', null, signal)),
      },
    }).createMachine({
      initial: 'looking',
      states: {
        looking: { invoke: { src: 'look', onDone: 'charging' } },
        charging: { invoke: { src: 'charge' }, on: { STOP: 'over' } },
        over: { type: 'final' },
      },
    }),
  end,
};

describe('what breaks', () => {
  test('an irreversible call does not begin behind an entry of its group that left its state', async () => {
    const process = await Process.start(leaving);
    await process.quiet();
    process.run.watchers.observe(({ type }) => {
      if (type === 'leaf.succeeded')
        void process.run.commands.obey({ type: 'send', event: { type: 'STOP' }, cause: null, by: 'test' });
    });
    process.world.open('look')[0]?.resolve(null);
    await process.drive();
    const group = process.journal.groups.find((entries) => entries.some(({ type }) => type === 'message.received'));
    assert.deepStrictEqual(
      group?.map(({ type, target }) => [type, target]),
      [
        ['message.received', 'body'],
        ['leaf.started', 'body/charge'],
      ],
    );
    assert.deepStrictEqual(process.world.begun, ['look']);
  });

  test('after an action has thrown no irreversible call of the state it was to enter begins', async () => {
    const process = await Process.start(breaking);
    await process.drive();
    assert(!process.world.begun.includes('charge'));
  });

  test('after an action has thrown no other action runs and no call begins, as in plain XState', async () => {
    const { world } = await plainXState(breaking);
    const process = await Process.start(breaking);
    await process.drive();
    assert.deepStrictEqual([process.world.acted, process.world.begun], [world.acted, world.begun]);
  });

  test('an action that throws on the way to a final state fails the run, as in plain XState', async () => {
    const process = await Process.start({
      name: 'late',
      create: () =>
        setup({
          types: { events: {} as { type: 'GO' } },
          actions: {
            check: () => {
              throw new Error('not allowed');
            },
          },
        }).createMachine({
          initial: 'a',
          states: { a: { on: { GO: { target: 'b', actions: 'check' } } }, b: { type: 'final' } },
        }),
      rules: [say('a', { type: 'GO' })],
      end,
    });
    await process.drive();
    assert.equal(process.run.end?.type, 'run.failed');
  });

  test('nothing follows the end of a run, though the store was full when it was recorded', async () => {
    const process = await Process.start({
      name: 'full',
      create: () =>
        setup({}).createMachine({ initial: 'a', states: { a: { after: { 10: 'b' } }, b: { type: 'final' } } }),
      end,
    });
    const append = process.journal.append.bind(process.journal);
    let full = true;
    process.journal.append = (run, entries, at) => {
      if (at.after !== 3 || !full) return append(run, entries, at);
      full = false;
      return Promise.reject(new StorageFullError('full', {}));
    };
    process.clock.increment(10);
    await process.quiet();
    let refused: unknown;
    process.run.commands
      .obey({ type: 'send', event: { type: 'X' }, cause: null, by: 'test' })
      .catch((error: unknown) => (refused = error));
    await process.quiet();
    process.clock.increment(1000);
    await process.quiet();
    assert.equal(process.journal.entries.at(-1)?.type, 'run.completed');
    assert(refused !== undefined);
  });

  test('a source whose emission cannot be kept is disposed of', async () => {
    let disposed = 0;
    const process = await Process.start({
      name: 'unkept',
      create: () =>
        setup({
          actors: {
            source: fromCallback(({ sendBack }) => {
              sendBack({ type: 'A', keep: () => {} });
              return () => {
                disposed += 1;
              };
            }),
          },
        }).createMachine({ invoke: { src: 'source' } }),
      end,
    });
    await process.drive();
    assert.equal(disposed, 1);
  });
});
