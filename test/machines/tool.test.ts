import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromPromise, initialTransition, transition, type ExecutableActionsFrom, type SnapshotFrom } from 'xstate';
import { chanceOf, spread, spreadAfter } from '../../machines/policy/jitter.ts';
import { toolMachine, type AttemptInput, type ToolEvent } from '../../machines/tool.ts';
import type { Effect } from '../../src/protocol/entry.ts';
import type { Failure } from '../../src/protocol/exit.ts';
import type { ToolPolicy } from '../../src/protocol/spec.ts';

const POLICY: ToolPolicy = {
  id: 'mail.send',
  effect: 'read',
  timeoutMs: 1_000,
  retry: { attempts: 3, delayMs: 500, maxDelayMs: 30_000 },
  seed: () => 'run/call',
  isJudged: false,
  approvalTimeoutMs: 0,
};

type Machine = ReturnType<typeof toolMachine>;

/** One call, stepped by hand; it keeps what it wants done. */
class Call {
  readonly machine: Machine;
  readonly begun: AttemptInput[] = [];
  /** Every `after` it set, in order. */
  readonly waits: number[] = [];
  aborted = 0;
  timeouts = 0;
  state: SnapshotFrom<Machine>;

  constructor(policy: Partial<ToolPolicy> = {}, input: unknown = { to: 'ana' }) {
    const attempt = fromPromise<unknown, AttemptInput>(() => Promise.resolve());
    this.machine = toolMachine({ ...POLICY, ...policy }).provide({ actors: { attempt } });
    const [state, actions] = initialTransition(this.machine, input);
    this.state = state;
    this.#note(actions);
  }

  send(event: ToolEvent): this {
    return this.#step(event);
  }
  admit(): this {
    return this.send({ type: 'troupe.admitted' });
  }
  succeed(output: unknown): this {
    return this.#step({ type: 'xstate.done.actor.attempt', output });
  }
  fail(error: unknown): this {
    return this.#step({ type: 'xstate.error.actor.attempt', error });
  }
  time(): this {
    const [waiting] = this.state._nodes.filter(({ after }) => after.length > 0);
    return this.#step({ type: waiting?.after[0]?.eventType ?? 'nothing waits for time' });
  }
  get at(): unknown {
    return this.state.value;
  }
  get exit(): unknown {
    return this.state.output;
  }

  #step(event: { type: string; output?: unknown; error?: unknown }): this {
    const [state, actions] = transition(this.machine, this.state, event as ToolEvent);
    this.state = state;
    this.#note(actions);
    return this;
  }

  #note(actions: readonly ExecutableActionsFrom<Machine>[]): void {
    for (const { type, params } of actions as readonly { type: string; params: unknown }[]) {
      const { input, delay } = (params ?? {}) as { input: AttemptInput; delay?: number };
      if (type === 'xstate.spawnChild') this.begun.push(input);
      if (type === 'xstate.stopChild') this.aborted += 1;
      if (type === 'reportTimeout') this.timeouts += 1;
      if (type === 'xstate.raise' && delay !== undefined) this.waits.push(delay);
    }
  }
}

const coded = (code: string, extra: Partial<Failure> = {}): Failure => ({
  name: 'E',
  message: 'broke',
  code,
  ...extra,
});
/** What chance makes of the wait after that attempt. */
const backoff = (ms: number, attempt: number): number => spread(ms, chanceOf(`run/call/${attempt}`));

describe('a call that may need approval', () => {
  const guarded = { isJudged: true, effect: 'irreversible' as const, approvalTimeoutMs: 60_000 };
  const approval = { run: 'r', call: 'c', tool: 'mail.send', hash: 'h', approvers: ['ana'] };
  const approve = { type: 'troupe.approve', hash: 'h', by: 'ana' } as const;
  const asked = (): Call => new Call(guarded).send({ type: 'troupe.judged', parsed: { to: 'a' }, approval });

  test('begins with what was judged, once it is judged, and approved where it must be', () => {
    const free = new Call(guarded);
    expect([free.at, free.begun]).toEqual(['asking', []]);
    free.send({ type: 'troupe.judged', parsed: 1, approval: null });
    expect([free.at, free.begun]).toEqual([
      'admitting',
      [{ tool: 'mail.send', attempt: 1, input: { to: 'ana' }, parsed: 1 }],
    ]);
    const call = asked().send({ ...approve, by: 'eve' });
    expect([call.at, call.begun]).toEqual(['awaitingApproval', []]);
    expect(call.send(approve).begun).toMatchObject([{ parsed: { to: 'a' } }]);
  });

  test('fails where its input is refused, or is not judged in time, and has done nothing', () => {
    const error = { name: 'E', message: 'no' };
    expect(new Call(guarded).send({ type: 'troupe.judged', error }).exit).toEqual({ status: 'failed', error });
    expect(new Call(guarded).time().exit).toMatchObject({ error: { code: 'TOOL_TIMEOUT', notPerformed: true } });
  });

  test('has all its time again where the owner that was at judging it is gone', () => {
    const call = new Call(guarded).send({ type: 'troupe.unjudged' });
    expect([call.at, call.waits]).toEqual(['asking', [1_000, 1_000]]);
    expect(asked().send({ type: 'troupe.unjudged' }).at).toBe('awaitingApproval');
  });

  test('is approved anew where it was in doubt and is to begin again; where it is not, it is in doubt as before', () => {
    const doubted = asked().send(approve).admit().send({ type: 'troupe.interrupted', effect: 'irreversible' });
    doubted.send({ type: 'troupe.resolve', retry: true });
    expect([doubted.at, doubted.begun.length]).toEqual(['awaitingApproval', 1]);
    expect(doubted.time().at).toBe('inDoubt');
    doubted
      .send({ type: 'troupe.resolve', retry: true })
      .send({ type: 'troupe.deny', hash: 'h', by: 'ana', reason: '' });
    expect(doubted.at).toBe('inDoubt');
    doubted.send({ type: 'troupe.resolve', retry: true }).send(approve);
    expect(doubted.begun.at(-1)).toMatchObject({ attempt: 4, parsed: { to: 'a' } });
  });
});

describe('attempts', () => {
  test('the deadline begins with the grant, not with the wish', () => {
    const call = new Call();
    expect([call.at, call.waits]).toEqual(['admitting', []]);
    expect([call.admit().at, call.waits]).toEqual(['executing', [1_000]]);
  });

  test('an outcome may come before the grant is heard', () => {
    expect(new Call().succeed({ id: 1 }).exit).toEqual({ status: 'succeeded', output: { id: 1 } });
    expect(new Call().fail(coded('NOT_ALLOWED')).exit).toMatchObject({ error: { code: 'NOT_ALLOWED' } });
  });

  test('R51, R52: an error waits and is tried again with the same input; the last one is the result', () => {
    const call = new Call().admit().fail(coded('A'));
    expect(call.at).toBe('backingOff');
    call.time().admit().fail(coded('B')).time().admit();
    expect(call.waits).toEqual([1_000, backoff(500, 1), 1_000, backoff(1_000, 2), 1_000]);
    expect(call.begun.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(new Set(call.begun.map(({ input }) => JSON.stringify(input))).size).toBe(1);
    expect(call.fail(coded('C')).exit).toEqual({ status: 'failed', error: coded('C') });
  });

  test('R50, R54: a rate limit waits as long as it asks, and backs off where it does not ask', () => {
    const asked = new Call().admit().fail(coded('RATE_LIMIT', { data: { retryAfterMs: 4_000 } }));
    expect([asked.at, asked.waits.at(-1)]).toEqual(['backingOff', spreadAfter(4_000, chanceOf('run/call/1'))]);
    const silent = new Call().admit().fail(coded('RATE_LIMIT'));
    expect([silent.at, silent.waits.at(-1)]).toEqual(['backingOff', backoff(1_000, 1)]);
  });

  test('one that asks for more than an hour fails, and says how long', () => {
    const call = new Call().admit().fail(coded('RATE_LIMIT', { data: { retryAfterMs: 7_200_000 } }));
    expect(call.exit).toMatchObject({
      status: 'failed',
      error: { code: 'RATE_LIMIT', message: expect.stringContaining('120 minutes') },
    });
  });

  test('chance is drawn from the call and the attempt: the same each time, and different for others', () => {
    const wait = (seed: string): number | undefined => new Call({ seed: () => seed }).admit().fail(coded('A')).waits[1];
    expect(wait('r/a')).toBe(wait('r/a'));
    expect(new Set(['r/a', 'r/b', 's/a', 's/b'].map(wait)).size).toBe(4);
  });

  test('R49, R58: neither a bad input nor a refused login is tried again', () => {
    for (const code of ['VALIDATION', 'AUTH', 'NOT_ALLOWED', 'TOOL_NOT_FOUND'])
      expect(new Call().admit().fail(coded(code)).exit).toEqual({ status: 'failed', error: coded(code) });
  });

  test('R48, R53: after a timeout the attempt is aborted and the next has twice the time', () => {
    const call = new Call().admit().time();
    expect([call.at, call.aborted, call.begun.length]).toEqual(['admitting', 1, 2]);
    call.admit().time().admit().time();
    expect([call.waits, call.timeouts]).toEqual([[1_000, 2_000, 4_000], 3]);
    expect(call.exit).toMatchObject({
      status: 'failed',
      error: { name: 'ToolTimeoutError', message: 'Tool mail.send timed out after 4s', data: { timeoutMs: 4_000 } },
    });
  });

  test('whatever fails, it ends within its attempts', () => {
    const code = fc.constantFrom('TOOL_TIMEOUT', 'RATE_LIMIT', 'NETWORK', 'OTHER', 'ABORT_ERR', 'AUTH', 'time');
    const effect = fc.constantFrom<Effect>('read', 'idempotent', 'irreversible');
    fc.assert(
      fc.property(fc.array(code, { minLength: 9 }), fc.integer({ min: 1, max: 8 }), effect, (codes, attempts, does) => {
        const call = new Call({ retry: { ...POLICY.retry, attempts }, effect: does });
        for (const what of codes) {
          if (call.at === 'backingOff') call.time();
          if (call.at === 'admitting') call.admit();
          if (call.at !== 'executing') break;
          if (what === 'time') call.time();
          else call.fail(coded(what));
        }
        if (call.at === 'backingOff') call.time();
        expect(call.begun.length).toBeLessThanOrEqual(attempts);
        expect(['failed', 'inDoubt']).toContain(call.at);
        expect(does === 'irreversible' || call.at === 'failed').toBe(true);
      }),
    );
  });
});

describe('doubt', () => {
  const doubtful = (): Call => new Call({ effect: 'irreversible' }).admit().fail(coded('ECONNRESET'));

  test('an irreversible call whose outcome is not known asks', () => {
    expect(doubtful().at).toBe('inDoubt');
    expect(doubtful().state.hasTag('inDoubt')).toBe(true);
    expect(new Call({ effect: 'irreversible' }).admit().time().at).toBe('inDoubt');
    // As it was begun, whatever the tool says of itself now.
    expect(new Call({ effect: 'read' }).admit().send({ type: 'troupe.interrupted', effect: 'irreversible' }).at).toBe(
      'inDoubt',
    );
  });

  test('an ordinary error of it fails; one that proves it did not happen, or a rate limit, is tried again', () => {
    const fail = (error: Failure): unknown => new Call({ effect: 'irreversible' }).admit().fail(error).at;
    expect(fail(coded('OTHER'))).toBe('failed');
    expect(fail(coded('OTHER', { notPerformed: true }))).toBe('backingOff');
    expect(fail(coded('ECONNRESET', { notPerformed: true }))).toBe('backingOff');
    expect(fail(coded('RATE_LIMIT'))).toBe('backingOff');
  });

  test('it can be resolved with an output, an error or another try', () => {
    expect(doubtful().send({ type: 'troupe.resolve', output: { id: 'x' } }).exit).toEqual({
      status: 'succeeded',
      output: { id: 'x' },
    });
    expect(doubtful().send({ type: 'troupe.resolve', error: coded('LOST') }).exit).toEqual({
      status: 'failed',
      error: coded('LOST'),
    });
    const again = doubtful().send({ type: 'troupe.resolve', retry: true });
    expect([again.at, again.begun.map(({ attempt }) => attempt)]).toEqual(['admitting', [1, 2]]);
    expect(again.admit().at).toEqual('executing');
  });

  test('it waits for nothing else', () => {
    expect(doubtful().admit().send({ type: 'troupe.interrupted', effect: 'read' }).at).toBe('inDoubt');
    expect(doubtful().waits).toEqual([1_000]);
  });

  test('nothing but a call in doubt can be resolved', () => {
    const resolve = { type: 'troupe.resolve', output: { id: 'x' } } as const;
    expect(new Call().send(resolve).at).toEqual('admitting');
    expect(new Call().admit().send(resolve).at).toEqual('executing');
    expect(new Call().admit().fail(coded('A')).send(resolve).at).toBe('backingOff');
  });

  test('it takes the output that is on record, whatever that is', () => {
    const resolved = doubtful().send({ type: 'troupe.resolve', output: 'not an object' });
    expect(resolved.exit).toEqual({ status: 'succeeded', output: 'not an object' });
  });
});

describe('an owner that is gone', () => {
  test.each(['read', 'idempotent'] as const)(
    'a %s attempt begins again: the same one, with a new deadline',
    (effect) => {
      const call = new Call({ effect }).admit().send({ type: 'troupe.interrupted', effect: 'read' });
      expect([call.at, call.begun.length, call.aborted]).toEqual(['admitting', 1, 0]);
      expect([call.admit().at, call.waits]).toEqual(['executing', [1_000, 1_000]]);
    },
  );

  test('what had not begun is not interrupted', () => {
    expect(new Call({ effect: 'irreversible' }).send({ type: 'troupe.interrupted', effect: 'read' }).at).toEqual(
      'admitting',
    );
  });
});

describe('a kill', () => {
  test.each<[string, Call]>([
    ['admitting', new Call()],
    ['executing', new Call().admit()],
    ['backingOff', new Call().admit().fail(coded('A'))],
    ['inDoubt', new Call({ effect: 'irreversible' }).admit().time()],
  ])('ends it while %s', (state, call) => {
    expect(JSON.stringify(call.at)).toContain(state);
    expect(call.send({ type: 'troupe.kill' }).exit).toEqual({ status: 'killed' });
    expect([call.at, call.state.status]).toEqual(['killed', 'done']);
  });

  test('aborts the attempt under way', () => {
    expect(new Call().admit().send({ type: 'troupe.kill' }).aborted).toBe(1);
  });
});
