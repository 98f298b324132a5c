import { once } from 'node:events';
import { threadId } from 'node:worker_threads';
import { systemClock } from '../src/clock.ts';
import { asFailure, toData } from '../src/codec.ts';
import { OverloadedError } from '../src/protocol/errors.ts';
import type { Answer, FromProcess, IsolatedCall, ToProcess } from '../src/protocol/isolated.ts';
import type { ProcessSpec, ToolContext } from '../src/protocol/spec.ts';
import { Channel, HEARD_BY_HOST } from './isolation/channel.ts';
import { Family, signal as send } from './isolation/family.ts';
import { guard } from './isolation/guard.ts';
import { channelOf, launch, type Launched } from './isolation/launch.ts';
import { Printed } from './isolation/printed.ts';
import { unanswered, type Exit } from './isolation/unanswered.ts';

/**
 * One attempt of an isolated tool, in a process of its own.
 *
 * P1. The promise settles when every process of the attempt is dead. What cannot be killed is given up after a second.
 * P2. Once its signal aborts, or it has answered, it has its grace to end by itself: then all that is left is killed.
 * P3. All that it prints is read, so that printing never holds it up; the end of it is kept.
 * P4. The tool is called only when the warden knows of its process.
 * P5. An end without an answer is an error. It says `notPerformed` where the tool had not been called yet.
 * P6. What cannot be begun whole, its warden included, is given back: its process is dead before the call is refused.
 * P7. Whatever its process writes, it is this one attempt that fails: what is no message ends it.
 */

// The other side is a real process: a clock that a test holds could not make it hurry.
const clock = systemClock();
const PATIENCE_MS = 1_000;
const AGAIN_MS = 5;
let calls = 0;

/** What the tool gives. @throws what it throws, as a Failure; ProcessExitError, MemoryLimitError, OverloadedError */
export async function inProcess(
  tool: string,
  spec: ProcessSpec,
  given: unknown,
  { signal, charge, ...context }: ToolContext,
): Promise<unknown> {
  const input = toData(given, 'input');
  signal.throwIfAborted();
  const mark = `${process.pid}.${threadId}.${clock.now()}.${(calls += 1)}`;
  const attempt = await begun(tool, spec, mark, charge);
  const outcome = attempt.outcome();
  const abort = (): void => {
    attempt.abort();
    ending.add(outcome);
  };
  signal.addEventListener('abort', abort);
  attempt.call({ tool, module: spec.module, input, context });
  if (signal.aborted) abort();
  try {
    return await outcome;
  } finally {
    ending.delete(outcome);
    signal.removeEventListener('abort', abort);
  }
}

/** Of attempts whose signal has aborted. */
const ending = new Set<Promise<unknown>>();

/** Resolves when the processes of attempts that were aborted until now are gone: that lasts no longer than their grace and P1's patience. */
export async function whenEnded(): Promise<void> {
  await Promise.allSettled(ending);
}

/** @throws OverloadedError: nothing was begun */
async function begun(tool: string, spec: ProcessSpec, mark: string, charge: ToolContext['charge']): Promise<Attempt> {
  let child: Launched | undefined;
  try {
    child = await launched(tool, spec, mark);
    return new Attempt(tool, spec, child, mark, charge);
  } catch (error) {
    if (child !== undefined) await givenBack(child, mark);
    throw new OverloadedError(`Tool ${tool} could not be given a process: ${asFailure(error).message}`, { tool });
  }
}

async function launched(tool: string, spec: ProcessSpec, mark: string): Promise<Launched> {
  const child = launch(tool, spec, mark);
  if (child.pid === undefined) throw ((await once(child, 'error')) as unknown[])[0];
  return child as Launched;
}

/** One that was never told what to call. */
async function givenBack(child: Launched, mark: string): Promise<void> {
  const exited = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  child.on('error', () => {});
  new Family(child.pid, mark).kill();
  await within(exited, PATIENCE_MS);
  for (const stream of [child.stdout, child.stderr, channelOf(child)]) stream.destroy();
}

class Attempt {
  readonly #tool: string;
  readonly #spec: ProcessSpec;
  readonly #child: Launched;
  readonly #family: Family;
  readonly #charge: ToolContext['charge'];
  readonly #printed: Printed;
  readonly #channel: Channel;
  readonly #release: () => void;
  /** Undefined: it cannot be killed. */
  readonly #exited: Promise<Exit | undefined>;
  readonly #closed: Promise<void>;
  #giveUp!: (exit: undefined) => void;
  #atEnd: unknown;
  #begins = false;
  #overspent = false;
  #answer: Answer | undefined;
  #residentBytes: number | undefined;
  #unreadable: string | undefined;

  constructor(tool: string, spec: ProcessSpec, child: Launched, mark: string, charge: ToolContext['charge']) {
    const { pid } = child;
    this.#tool = tool;
    this.#spec = spec;
    this.#child = child;
    this.#charge = charge;
    this.#family = new Family(pid, mark);
    this.#printed = new Printed(child, spec.outputBytes);
    this.#release = guard({ pid, mark, memoryBytes: spec.memoryBytes }, (residentBytes) => {
      this.#residentBytes = residentBytes;
      this.#kill();
    });
    this.#exited = new Promise((resolve) => {
      this.#giveUp = resolve;
      child.on('exit', (code, signal) => resolve({ code, signal }));
    });
    this.#closed = new Promise((resolve) => child.on('close', () => resolve()));
    const agreed = { token: mark, hears: HEARD_BY_HOST };
    this.#channel = new Channel(channelOf(child), agreed, {
      hear: (said) => this.#hear(said),
      end: (unreadable) => this.#unheard(unreadable),
    });
    // That it could not be told or killed shows in how it ends.
    child.on('error', () => {});
  }

  call(call: IsolatedCall): void {
    this.#tell({ type: 'call', call });
  }

  #tell(said: ToProcess): void {
    this.#channel.say(said);
  }

  abort(): void {
    this.#tell({ type: 'abort' });
    send(-this.#child.pid, 'SIGTERM');
    this.#end();
  }

  async outcome(): Promise<unknown> {
    const exit = await this.#exited;
    for (const deadline = clock.now() + PATIENCE_MS; !this.#family.kill() && clock.now() < deadline;)
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, AGAIN_MS));
    // What it has said and printed last may still be on its way.
    await within(this.#closed, PATIENCE_MS);
    clock.clearTimeout(this.#atEnd);
    this.#printed.close();
    this.#channel.close();
    this.#release();
    return this.#decide(exit);
  }

  #hear(said: unknown): void {
    if (!isSaid(said)) return;
    switch (said.type) {
      case 'begins':
        this.#begins = true;
        return;
      case 'charge':
        try {
          return this.#charge(said.cost);
        } catch (error) {
          // Once: it need not read what it is told, and it would pile up here.
          if (!this.#overspent) this.#tell({ type: 'overspent', error: asFailure(error) });
          this.#overspent = true;
          return;
        }
      case 'succeeded':
      case 'failed':
        this.#answer ??= said;
        this.#end();
    }
  }

  /** It cannot answer any more. */
  #unheard(unreadable: string | undefined): void {
    if (unreadable === undefined || this.#answer !== undefined) return this.#end();
    this.#unreadable = unreadable;
    this.#kill();
  }

  #end(): void {
    this.#atEnd ??= clock.setTimeout(() => this.#kill(), this.#spec.graceMs);
  }

  #kill(): void {
    this.#family.kill();
    clock.setTimeout(() => this.#giveUp(undefined), PATIENCE_MS, false);
  }

  #decide(exit: Exit | undefined): unknown {
    const answer = this.#answer;
    if (answer?.type === 'succeeded') return answer.output;
    if (answer?.type === 'failed') throw this.#printed.on(asFailure(answer.error));
    const error = unanswered({
      tool: this.#tool,
      exit,
      memoryBytes: this.#spec.memoryBytes,
      residentBytes: this.#residentBytes,
      unreadable: this.#unreadable,
      printed: this.#printed,
    });
    throw this.#begins ? error : Object.assign(error, { notPerformed: true });
  }
}

const isSaid = (message: unknown): message is FromProcess =>
  typeof message === 'object' && message !== null && 'type' in message;

async function within(fact: Promise<void>, ms: number): Promise<void> {
  let timer: unknown;
  await Promise.race([fact, new Promise<void>((resolve) => (timer = clock.setTimeout(resolve, ms)))]);
  clock.clearTimeout(timer);
}
