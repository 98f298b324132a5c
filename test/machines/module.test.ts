import { describe, expect, test } from 'vitest';
import { fromPromise, initialTransition, transition, type SnapshotFrom } from 'xstate';
import {
  moduleMachine,
  type ModuleAnswered,
  type ModuleEvent,
  type ModuleInput,
  type Refusal,
} from '../../machines/module.ts';
import { MAX_WAITING } from '../../machines/policy/traffic.ts';
import type { CallEnd } from '../../src/protocol/exit.ts';

const machine = moduleMachine.provide({
  actors: {
    connect: fromPromise<number>(() => Promise.resolve(0)),
    disconnect: fromPromise<unknown>(() => Promise.resolve()),
  },
});
type State = SnapshotFrom<typeof machine>;

const SUCCEEDED: CallEnd = { status: 'succeeded' };
const ABANDONED: CallEnd = { status: 'abandoned' };
const failed = (code: string): CallEnd => ({ status: 'failed', error: { name: 'E', message: 'no route', code } });
const LOST = failed('ECONNRESET');
const LATE = failed('TOOL_TIMEOUT');
const COOLDOWN = 30_000;

interface Options {
  concurrency?: number;
  tools?: Record<string, number>;
  rateLimit?: ModuleInput['limits']['rateLimit'];
  breaker?: ModuleInput['breaker'];
  connects?: boolean;
}

/** A module, stepped by hand; it keeps what it wants done and what it has answered. */
class Stepped {
  state: State;
  now = 0;
  readonly begun: string[] = [];
  readonly granted: number[] = [];
  readonly refused: { ticket: number; refusal: Refusal }[] = [];
  turnAt: number | undefined;

  constructor({ concurrency = 2, tools = {}, rateLimit, breaker, connects = false }: Options = {}) {
    const limits = { concurrency, toolConcurrency: new Map(Object.entries(tools)), rateLimit };
    const [state, actions] = initialTransition(machine, { connects, limits, breaker });
    this.state = state;
    this.#note(actions);
  }

  admit(...tickets: number[]): this {
    for (const ticket of tickets) this.call(ticket, 'send');
    return this;
  }
  call(ticket: number, tool: string): this {
    return this.send({ type: 'module.admit', ticket, tool, now: this.now });
  }
  release(ticket: number, ended: CallEnd = SUCCEEDED, tool = 'send'): this {
    return this.send({ type: 'module.release', ticket, tool, ended, now: this.now });
  }
  /** As many calls in a row, each ended so. */
  calls(count: number, ended: CallEnd): this {
    for (let n = 0; n < count; n += 1) this.admit(1_000 + n).release(1_000 + n, ended);
    return this;
  }
  send(event: ModuleEvent): this {
    return this.#step(event);
  }
  happens(...events: { type: string; output?: unknown; error?: unknown }[]): this {
    for (const event of events) this.#step(event as never);
    return this;
  }
  at(now: number): this {
    this.now = now;
    return this;
  }
  get value(): unknown {
    return this.state.value;
  }

  #step(event: ModuleEvent): this {
    const [state, actions] = transition(machine, this.state, event);
    this.state = state;
    this.#note(actions);
    return this;
  }

  #note(actions: readonly { type: string; params: unknown }[]): void {
    for (const { type, params } of actions) {
      const { src, event } = params as { src: string; event: ModuleAnswered };
      if (type === 'xstate.spawnChild') this.begun.push(src);
      if (type === 'xstate.emit') this.#answered(event);
    }
  }

  #answered({ answers, turnAt }: ModuleAnswered): void {
    this.turnAt = turnAt;
    for (const { ticket, refusal } of answers)
      if (refusal === undefined) this.granted.push(ticket);
      else this.refused.push({ ticket, refusal });
  }
}

const connected = { type: 'xstate.done.actor.0.module.starting', output: 7 };
const notConnected = { type: 'xstate.error.actor.0.module.starting', error: { name: 'E', message: 'no route' } };
const disconnected = { type: 'xstate.done.actor.0.module.stopping' };
const undone = { type: 'xstate.error.actor.0.module.stopping', error: { name: 'E', message: 'stuck' } };
const tooSlow = { type: 'xstate.after.starting.module.starting' };
const drain = { type: 'module.drain' };
const READY = { ready: 'closed' };

describe('starting', () => {
  test('waits for the first call, and calls wait for it', () => {
    const module = new Stepped({ connects: true });
    expect([module.value, module.begun]).toEqual(['idle', []]);
    module.admit(1, 2, 3);
    expect([module.value, module.begun, module.granted]).toEqual(['starting', ['connect'], []]);
    module.happens(connected);
    expect([module.value, module.granted]).toEqual([READY, [1, 2]]);
  });

  test('where there is nothing to open calls begin at once', () => {
    const module = new Stepped().admit(1);
    expect([module.value, module.begun, module.granted]).toEqual([READY, [], [1]]);
  });

  test.each([
    ['fails', notConnected, 'no route'],
    ['takes too long', tooSlow, 'it is still starting after 30s'],
  ])('that %s refuses who waits, with the reason, and the next call starts it again', (_, event, message) => {
    const module = new Stepped({ connects: true }).admit(1, 2).happens(event);
    expect([module.value, module.granted]).toEqual(['idle', []]);
    expect(module.refused).toMatchObject([1, 2].map((ticket) => ({ ticket, refusal: { error: { message } } })));
    expect(module.refused[0]?.refusal).toMatchObject({ reason: 'notStarted', retryAfterMs: undefined });
    module.admit(3).happens(connected);
    expect([module.begun, module.granted]).toEqual([['connect', 'connect'], [3]]);
  });

  test('that failed as often as its breaker bears is tried again after the cooldown only', () => {
    const breaker = { failures: 2, cooldownMs: COOLDOWN };
    const module = new Stepped({ connects: true, breaker });
    module.admit(1).happens(notConnected).at(1_000).admit(2).happens(notConnected);
    expect(module.refused.at(-1)?.refusal).toMatchObject({ reason: 'notStarted', retryAfterMs: COOLDOWN });
    module.at(11_000).admit(3);
    expect([module.value, module.begun.length]).toEqual(['idle', 2]);
    expect(module.refused.at(-1)).toMatchObject({
      ticket: 3,
      refusal: { reason: 'notStarted', retryAfterMs: 20_000, error: { message: 'no route' } },
    });
    module.at(31_000).admit(4);
    expect([module.value, module.begun.length]).toEqual(['starting', 3]);
    expect(module.happens(connected).granted).toEqual([4]);
    // What went wrong before counts no more.
    expect(module.release(4).calls(1, LOST).value).toEqual(READY);
  });

  test('that is drained or killed ends, and refuses who waits', () => {
    const starting = (): Stepped => new Stepped({ connects: true }).admit(1);
    const [drained, killed] = [starting().happens(drain), starting().happens({ type: 'troupe.kill' })];
    expect([drained.happens(disconnected).value, killed.value]).toEqual(['stopped', 'stopped']);
    for (const module of [drained, killed])
      expect(module.refused).toEqual([{ ticket: 1, refusal: { reason: 'closed' } }]);
    expect(new Stepped({ connects: true }).happens(drain).value).toBe('stopped');
  });
});

describe('room', () => {
  test('there is as much as its concurrency; the others begin in order as it is given back', () => {
    const module = new Stepped().admit(1, 2, 3, 4);
    expect(module.granted).toEqual([1, 2]);
    module.release(2);
    expect(module.granted).toEqual([1, 2, 3]);
    module.admit(5).release(1).release(3);
    expect(module.granted).toEqual([1, 2, 3, 4, 5]);
  });

  test('who leaves the line is not called', () => {
    const module = new Stepped({ concurrency: 1 }).admit(1, 2, 3).send({ type: 'module.leave', ticket: 2 });
    expect(module.release(1).granted).toEqual([1, 3]);
  });

  test('a tool with a limit of its own has no more under way, and lets those of others pass', () => {
    const module = new Stepped({ concurrency: 3, tools: { send: 1 } });
    module.call(1, 'send').call(2, 'send').call(3, 'list').call(4, 'list').call(5, 'list');
    expect(module.granted).toEqual([1, 3, 4]);
    module.release(3, SUCCEEDED, 'list');
    expect(module.granted).toEqual([1, 3, 4, 5]);
    module.release(1, LOST).release(4, SUCCEEDED, 'list');
    expect(module.granted).toEqual([1, 3, 4, 5, 2]);
  });

  test('the line is bounded: one too many is refused, and nobody else', () => {
    const module = new Stepped({ concurrency: 1 });
    for (let ticket = 0; ticket <= MAX_WAITING; ticket += 1) module.admit(ticket);
    expect(module.refused).toEqual([]);
    module.admit(-1);
    expect(module.refused).toEqual([{ ticket: -1, refusal: { reason: 'overloaded', waiting: MAX_WAITING } }]);
    expect(module.release(0).granted).toEqual([0, 1]);
  });
});

describe('a rate limit', () => {
  const limited = (): Stepped => new Stepped({ concurrency: 10, rateLimit: { limit: 2, perMs: 1_000 } });

  test('lets so many begin, and then the next in order when the time is up', () => {
    const module = limited().admit(1).at(400).admit(2, 3, 4, 5);
    expect([module.granted, module.turnAt]).toEqual([[1, 2], 1_000]);
    module.send({ type: 'module.turn', now: 1_000 });
    expect(module.granted).toEqual([1, 2, 3]);
    module.at(1_000).send({ type: 'module.turn', now: 1_400 });
    expect(module.granted).toEqual([1, 2, 3, 4]);
  });

  test('ends of calls let nobody begin before the time', () => {
    const module = limited().admit(1, 2, 3).release(1).release(2);
    expect([module.granted, module.turnAt]).toEqual([[1, 2], 1_000]);
  });

  test('a call that comes after the time goes first only if nobody waits', () => {
    const module = limited().admit(1, 2, 3).at(1_500).admit(4, 5);
    expect(module.granted).toEqual([1, 2, 3, 4]);
    expect(module.turnAt).toBe(2_500);
  });

  test('nobody waits, no turn is due', () => {
    const module = limited().admit(1, 2, 3).send({ type: 'module.leave', ticket: 3 });
    expect(module.turnAt).toBeUndefined();
  });

  test('counts from when it was open', () => {
    const module = new Stepped({ connects: true, rateLimit: { limit: 1, perMs: 1_000 } }).admit(1, 2).at(7);
    expect(module.happens(connected).turnAt).toBe(1_007);
  });
});

describe('the breaker', () => {
  const guarded = (): Stepped => new Stepped({ breaker: { failures: 3, cooldownMs: COOLDOWN } });
  const opened = (): Stepped => guarded().calls(3, LOST);

  test('opens after so many calls in a row that did not reach the service', () => {
    expect(guarded().calls(2, LOST).value).toEqual(READY);
    expect(opened().value).toEqual({ ready: 'open' });
    expect(guarded().calls(2, LOST).calls(1, SUCCEEDED).calls(2, LOST).value).toEqual(READY);
  });

  test('without one nothing opens', () => {
    expect(new Stepped().calls(100, LOST).value).toEqual(READY);
  });

  test('counts what took too long', () => {
    const module = guarded().calls(2, LOST).admit(1).release(1, ABANDONED);
    expect(module.value).toEqual(READY);
    expect(module.send({ type: 'module.overdue', ended: LATE, now: 0 }).value).toEqual({ ready: 'open' });
  });

  test.each(['VALIDATION', 'AUTH', 'RATE_LIMIT', 'E_STRANGE'])('%s is an answer', (code) => {
    expect(guarded().calls(2, LOST).calls(1, failed(code)).calls(2, LOST).value).toEqual(READY);
  });

  test.each([ABANDONED, failed('ABORT_ERR')])('$status, $error.code says nothing', (ended) => {
    expect(guarded().calls(2, LOST).calls(5, ended).value).toEqual(READY);
    expect(guarded().calls(2, LOST).calls(5, ended).calls(1, LOST).value).toEqual({ ready: 'open' });
  });

  test('open, it refuses at once those who wait and those who come, and says when to come again and why', () => {
    const module = guarded().calls(2, LOST).admit(1, 2, 3).release(1, LOST);
    const refusal = { reason: 'open', failures: 3, error: { message: 'no route' }, retryAfterMs: COOLDOWN };
    expect(module.refused).toMatchObject([{ ticket: 3, refusal }]);
    module.at(10_000).admit(4).at(29_999).admit(5);
    expect(module.refused.slice(1)).toMatchObject([
      { ticket: 4, refusal: { ...refusal, retryAfterMs: 20_000 } },
      { ticket: 5, refusal: { ...refusal, retryAfterMs: 1 } },
    ]);
    // Who was under way ends as it likes.
    expect(module.release(2).value).toEqual({ ready: 'open' });
  });

  test('after its cooldown one call tries, and the others wait for what becomes of it', () => {
    const module = opened().at(COOLDOWN).admit(1, 2, 3);
    expect([module.value, module.granted.slice(3)]).toEqual([{ ready: 'halfOpen' }, [1]]);
    module.release(1);
    expect([module.value, module.granted.slice(3)]).toEqual([READY, [1, 2, 3]]);
  });

  test('a trial that was refused by the service has reached it', () => {
    expect(opened().at(COOLDOWN).admit(1).release(1, failed('AUTH')).value).toEqual(READY);
  });

  test.each([LOST, ABANDONED])('a trial that is $status opens it again, for as long', (ended) => {
    const module = opened().at(COOLDOWN).admit(1, 2).at(31_000).release(1, ended);
    expect(module.value).toEqual({ ready: 'open' });
    expect(module.refused.at(-1)).toMatchObject({ ticket: 2, refusal: { reason: 'open', retryAfterMs: COOLDOWN } });
    module.send({ type: 'module.overdue', ended: LATE, now: 31_000 }).at(60_999).admit(3);
    expect([module.value, module.refused.at(-1)?.ticket]).toEqual([{ ready: 'open' }, 3]);
    expect(module.at(61_000).admit(4).granted.slice(3)).toEqual([1, 4]);
  });

  test('what was under way before says nothing of the trial', () => {
    const module = new Stepped({ concurrency: 9, breaker: { failures: 1, cooldownMs: COOLDOWN } }).admit(1, 2, 3);
    module.release(1, LOST).at(COOLDOWN).admit(4, 5).release(2, LOST).release(3);
    expect([module.value, module.granted]).toEqual([{ ready: 'halfOpen' }, [1, 2, 3, 4]]);
    expect(module.release(4).granted).toEqual([1, 2, 3, 4, 5]);
  });

  test('where old calls hold all the room the trial waits for it; where it leaves, the next tries', () => {
    const module = new Stepped({ concurrency: 1, breaker: { failures: 1, cooldownMs: COOLDOWN } }).admit(1);
    module
      .send({ type: 'module.overdue', ended: LATE, now: 0 })
      .at(COOLDOWN)
      .admit(2, 3)
      .send({ type: 'module.leave', ticket: 2 });
    expect([module.value, module.granted]).toEqual([{ ready: 'halfOpen' }, [1]]);
    expect(module.release(1, LOST).granted).toEqual([1, 3]);
  });
});

describe('draining', () => {
  const busy = (): Stepped => new Stepped().admit(1, 2, 3).happens(drain);

  test('waits for the calls under way, refuses those who wait and takes no other', () => {
    const module = busy().admit(4);
    expect([module.value, module.refused.map(({ ticket }) => ticket)]).toEqual(['draining', [3, 4]]);
    expect(module.release(1).value).toBe('draining');
    module.release(2, LOST);
    expect([module.value, module.begun]).toEqual(['stopping', ['disconnect']]);
    expect(module.happens(disconnected).value).toBe('stopped');
  });

  test('with nothing under way it disconnects at once', () => {
    expect(new Stepped().admit(1).release(1).happens(drain).value).toBe('stopping');
  });

  test('a disconnect that fails is an end too', () => {
    expect(busy().release(1).release(2).happens(undone).value).toBe('stopped');
  });
});

describe('a kill', () => {
  test.each<[string, Stepped, string]>([
    ['ready', new Stepped().admit(1), 'stopping'],
    ['draining', new Stepped().admit(1).happens(drain), 'stopping'],
    ['stopping', new Stepped().admit(1).release(1).happens(drain), 'stopped'],
  ])('does not wait for calls: %s', (from, module, to) => {
    expect(JSON.stringify(module.value)).toContain(from);
    expect(module.happens({ type: 'troupe.kill' }).value).toBe(to);
  });
});
